/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program that knows nothing of MPI, as run_mpi.sh starts it: by a launcher, whose MPI it finds
 * and starts; with a URL, alone, where MPI must start no daemon.
 */
#include <mlscale.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COUNT = 5000 };

static int fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, mls_error_message());
    return EXIT_FAILURE;
}

static int add_up(mls_context *context, mls_group *group)
{
    const int64_t dims[] = {COUNT};
    mls_tensor *tensor;
    if (mls_tensor_create(context, MLS_INT32, 1, dims, &tensor))
        return fail("tensor");
    int32_t *data = mls_tensor_data(tensor);
    for (int i = 0; i < COUNT; i++)
        data[i] = (int32_t) mls_group_rank(group) + 1;
    const int32_t ranks = (int32_t) mls_group_size(group);
    const mls_status status =
        mls_group_allreduce(group, tensor, tensor, MLS_REDUCE_SUM, NULL, NULL);
    const int32_t sum = data[COUNT - 1];
    mls_tensor_free(tensor);
    if (status)
        return fail("allreduce");
    if (sum == ranks * (ranks + 1) / 2)
        return EXIT_SUCCESS;
    fprintf(stderr, "the sum is %d\n", (int) sum);
    return EXIT_FAILURE;
}

/* Whether this process has children. */
static int has_children(void)
{
    char path[64], line[256] = "";
    snprintf(path, sizeof path, "/proc/thread-self/children");
    FILE *file = fopen(path, "r");
    if (!file)
        return 0;
    const int has_any = fgets(line, sizeof line, file) != NULL && line[0];
    fclose(file);
    return has_any;
}

/* In turn: a group of two is refused, one of one is made. */
static int run_alone(mls_context *context, const char *url)
{
    mls_group *group;
    mls_status status = mls_group_create(context, url, 0, 2, NULL, &group);
    if (status != MLS_EUNSUPPORTED || !strstr(mls_error_message(), "use mpirun"))
        return fail("two ranks without a launcher");
    if (mls_group_create(context, url, 0, 1, NULL, &group))
        return fail("one rank without a launcher");
    int result = add_up(context, group);
    mls_group_free(group);
    if (has_children()) {
        fprintf(stderr, "MPI started a daemon\n");
        result = EXIT_FAILURE;
    }
    return result;
}

int main(int argc, char **argv)
{
    mls_context *context;
    mls_group *group;
    if (mls_context_create(NULL, &context))
        return fail("context");
    int result;
    if (argc > 1) {
        result = run_alone(context, argv[1]);
    } else if (mls_group_create_launched(context, NULL, &group)) {
        result = fail("launched");
    } else {
        result = mls_group_size(group) > 1 ? add_up(context, group) : fail("a group of one");
        mls_group_free(group);
    }
    mls_context_free(context);
    return result;
}
