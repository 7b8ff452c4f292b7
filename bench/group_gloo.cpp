/* SPDX-License-Identifier: Apache-2.0 */
/* Gloo behind the functions of group_gloo.h; without its headers there is no group of it. */
#include "group_gloo.h"

#include <filesystem>
#include <system_error>

void group_gloo_forget(const char *folder)
{
    std::error_code ignored;
    std::filesystem::remove_all(folder, ignored);
}

#if __has_include(<gloo/allreduce.h>)
#include <gloo/allreduce.h>
#include <gloo/math.h>
#include <gloo/rendezvous/context.h>
#include <gloo/rendezvous/file_store.h>
#include <gloo/transport/tcp/device.h>

#include <cstdio>
#include <exception>
#include <memory>

struct group_gloo {
    std::shared_ptr<gloo::rendezvous::Context> context;
};

static void print(const std::exception &error)
{
    fprintf(stderr, "bench/group: Gloo: %s\n", error.what());
}

group_gloo *group_gloo_open(const char *folder, int rank, int size)
{
    try {
        gloo::rendezvous::FileStore store(folder);
        auto device = gloo::transport::tcp::CreateDevice("127.0.0.1");
        auto context = std::make_shared<gloo::rendezvous::Context>(rank, size);
        context->connectFullMesh(store, device);
        return new group_gloo{context};
    } catch (const std::exception &error) {
        print(error);
        return nullptr;
    }
}

int group_gloo_allreduce(group_gloo *gloo, const float *source, float *target, size_t count)
{
    try {
        gloo::AllreduceOptions options(gloo->context);
        options.setInput(const_cast<float *>(source), count); /* it only reads */
        options.setOutput(target, count);
        options.setReduceFunction(
            static_cast<void (*)(void *, const void *, const void *, size_t)>(gloo::sum<float>));
        gloo::allreduce(options);
        return 0;
    } catch (const std::exception &error) {
        print(error);
        return -1;
    }
}

void group_gloo_close(group_gloo *gloo)
{
    delete gloo;
}

#else

group_gloo *group_gloo_open(const char *, int, int)
{
    return nullptr;
}

int group_gloo_allreduce(group_gloo *, const float *, float *, size_t)
{
    return -1;
}

void group_gloo_close(group_gloo *)
{
}

#endif
