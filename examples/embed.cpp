// SPDX-License-Identifier: Apache-2.0
//
// The smallest host program in C++: load a model, score rows of any number.
//
//   c++ embed.cpp $(pkg-config --cflags --libs mlscale) -o embed
//   ./embed examples/models/volatility_trees.onnx
#include <mlscale.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <memory>
#include <stdexcept>
#include <vector>

namespace
{

// Every failing call leaves a message; it becomes the exception's.
void check(mls_status status)
{
    if (status != MLS_OK)
        throw std::runtime_error(mls_error_message());
}

struct Free {
    void operator()(mls_context *context) const
    {
        mls_context_free(context);
    }
    void operator()(mls_model *model) const
    {
        mls_model_free(model);
    }
    void operator()(mls_session *session) const
    {
        mls_session_free(session);
    }
};

template <typename T> using Handle = std::unique_ptr<T, Free>;

Handle<mls_context> make_context()
{
    mls_context *context = nullptr;
    check(mls_context_create(nullptr, &context));
    return Handle<mls_context>(context);
}

Handle<mls_model> load_model(mls_context *context, const char *path)
{
    mls_model *model = nullptr;
    check(mls_model_load(context, path, nullptr, &model));
    return Handle<mls_model>(model);
}

// Planned for up to `batch` rows.
Handle<mls_session> make_session(mls_model *model, std::int64_t batch)
{
    const mls_dim_value dim = {"batch", batch};
    mls_session_options options = MLS_SESSION_OPTIONS_INIT;
    options.dims = &dim;
    options.dim_count = 1;
    mls_session *session = nullptr;
    check(mls_session_create(model, &options, &session));
    return Handle<mls_session>(session);
}

std::vector<float> score(mls_session *session, const std::vector<float> &rows, std::int64_t count)
{
    check(mls_session_set_dim(session, "batch", count));
    auto *input = static_cast<float *>(mls_session_input_data(session, 0));
    if (!input)
        throw std::runtime_error(mls_error_message());
    std::copy(rows.begin(), rows.end(), input);
    check(mls_session_run(session));
    const auto *output = static_cast<const float *>(mls_session_output_data(session, 0));
    return std::vector<float>(output, output + count);
}

} // namespace

int main(int argc, char **argv)
{
    // 21 and 22 March 1974 in examples/data/features.csv
    const std::vector<float> rows = {-0.8757f, -1.5159f, -0.8433f, -0.7864f, -1.5531f, 1.3212f,
                                     0.6376f,  0.6163f,  3.3609f,  -2.3979f, -0.3563f, -0.4103f,
                                     -1.1974f, -0.7823f, -0.7675f, -1.5422f, 1.3212f,  -0.8083f,
                                     0.2995f,  2.3119f,  -1.4861f, -0.3209f};
    try {
        const auto context = make_context();
        const auto model =
            load_model(context.get(), argc > 1 ? argv[1] : "examples/models/volatility_trees.onnx");
        const auto session = make_session(model.get(), 64);
        for (const float value : score(session.get(), rows, 2))
            std::printf("log variance: %g\n", static_cast<double>(value));
    } catch (const std::exception &error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
    return 0;
}
