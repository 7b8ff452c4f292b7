/* SPDX-License-Identifier: Apache-2.0 */
/* A case: its model loaded, each of its sets bound, run and compared. */
#include "verify_case.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_ITEMS 256 /* of a sequence */

void verify_path(char path[VERIFY_PATH_MOST], const char *format, ...)
{
    va_list list;
    va_start(list, format);
    vsnprintf(path, VERIFY_PATH_MOST, format, list);
    va_end(list);
}

bool verify_is_file(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

bool verify_is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

static outcome skip(verifier *v, const char *text)
{
    for (size_t i = 0; i < v->reason_count; i++)
        if (strncmp(v->reasons[i].text, text, VERIFY_REASON_MOST - 1) == 0) {
            v->reasons[i].count++;
            return SKIPPED;
        }
    reason *more = realloc(v->reasons, (v->reason_count + 1) * sizeof *more);
    if (more) {
        v->reasons = more;
        snprintf(more[v->reason_count].text, VERIFY_REASON_MOST, "%s", text);
        more[v->reason_count++].count = 1;
    }
    return SKIPPED;
}

static outcome fail(const char *name, const char *what, const char *detail)
{
    printf("FAIL %s: %s%s\n", name, what, detail);
    return FAILED;
}

/* " 3 4" */
static void print_dims(char *text, size_t size, int rank, const int64_t *dims)
{
    size_t used = 0;
    text[0] = '\0';
    for (int i = 0; i < rank && used < size; i++)
        used += (size_t) snprintf(text + used, size - used, " %" PRId64, dims[i]);
}

static bool has_declared_dims(const mls_model_value *value, const mls_tensor *tensor)
{
    const int64_t *dims = mls_tensor_dims(tensor);
    if (value->rank < 0)
        return true;
    bool fits = value->rank == mls_tensor_rank(tensor);
    for (int i = 0; fits && i < value->rank; i++)
        fits = value->dims[i] < 0 || value->dims[i] == dims[i];
    return fits;
}

/* Said of each such case, so that none hides among those that are skipped. */
static outcome contradict(const char *name, const mls_model_value *value, const mls_tensor *tensor)
{
    char declared[256], given[256];
    print_dims(declared, sizeof declared, value->rank, value->dims);
    print_dims(given, sizeof given, mls_tensor_rank(tensor), mls_tensor_dims(tensor));
    printf("CONTRADICTION %s: input '%.64s' has dims%s, and its model declares%s\n", name,
           value->name, given, declared);
    return CONTRADICTED;
}

/* What the library cannot do is skipped; whatever else goes wrong is a failure. */
static outcome library_outcome(verifier *v, const char *name, mls_status status)
{
    if (status == MLS_EUNSUPPORTED)
        return skip(v, mls_error_message());
    return fail(name, "", mls_error_message());
}

/*
 * ONNX's test data up to 1.12 keep bfloat16 as uint16, since NumPy has no such type:
 * the same bits under the name that the model gives them.
 */
static mls_status as_declared(mls_context *context, mls_dtype dtype, mls_tensor **tensor)
{
    mls_tensor *renamed;
    if (dtype != MLS_BFLOAT16 || mls_tensor_dtype(*tensor) != MLS_UINT16)
        return MLS_OK;
    mls_status status = mls_tensor_create(context, dtype, mls_tensor_rank(*tensor),
                                          mls_tensor_dims(*tensor), &renamed);
    if (status)
        return status;
    if (mls_tensor_data(*tensor))
        memcpy(mls_tensor_data(renamed), mls_tensor_data(*tensor), mls_tensor_size_bytes(renamed));
    mls_tensor_free(*tensor);
    *tensor = renamed;
    return MLS_OK;
}

/* What a file of the test data holds. */
typedef struct contents {
    mls_tensor *items[MAX_ITEMS];
    size_t count;
    uint32_t kind; /* MLS_VALUE_* */
} contents;

static void free_contents(contents *c)
{
    for (size_t i = 0; i < c->count; i++)
        mls_tensor_free(c->items[i]);
    c->count = 0;
}

static mls_status read_contents(verifier *v, const char *path, const mls_model_value *value,
                                contents *c)
{
    size_t count;
    mls_status status = mls_tensor_read_onnx_value(v->context, path, (uint32_t) value->kind,
                                                   c->items, MAX_ITEMS, &count, &c->kind);
    c->count = status ? 0 : count < MAX_ITEMS ? count : MAX_ITEMS;
    for (size_t i = 0; !status && i < c->count; i++)
        status = as_declared(v->context, (mls_dtype) value->dtype, &c->items[i]);
    return status;
}

static mls_status bind_contents(mls_session *session, size_t index, const contents *c)
{
    if (c->kind == MLS_VALUE_SEQUENCE)
        return mls_session_bind_input_sequence(session, index, (const mls_tensor *const *) c->items,
                                               c->count);
    return mls_session_bind_input(session, index, c->count ? c->items[0] : NULL);
}

static outcome bind_inputs_of(verifier *v, const char *name, const char *set,
                              const mls_model *model, mls_session *session)
{
    for (size_t i = 0; i < mls_model_input_count(model); i++) {
        char path[VERIFY_PATH_MOST];
        contents c = {.count = 0};
        mls_model_value value = MLS_MODEL_VALUE_INIT;
        mls_model_input(model, i, &value);
        verify_path(path, "%s/input_%zu.pb", set, i);
        mls_status status = read_contents(v, path, &value, &c);
        if (status) {
            free_contents(&c);
            return library_outcome(v, name, status);
        }
        status = bind_contents(session, i, &c);
        outcome result = PASSED;
        if (status == MLS_ESHAPE && c.count == 1 && !has_declared_dims(&value, c.items[0]))
            result = contradict(name, &value, c.items[0]);
        else if (status)
            result = library_outcome(v, name, status);
        free_contents(&c);
        if (result != PASSED)
            return result;
    }
    return PASSED;
}

static bool same_shape(const mls_tensor *want, int rank, const int64_t *dims)
{
    return mls_tensor_rank(want) == rank &&
           (rank == 0 || memcmp(mls_tensor_dims(want), dims, (size_t) rank * sizeof *dims) == 0);
}

const exception *verify_exception(const char *name)
{
    static const exception exceptions[] = {
        {"test_bernoulli", true, 0},
        {"test_bernoulli_double", true, 0},
        {"test_bernoulli_double_expanded", true, 0},
        {"test_bernoulli_expanded", true, 0},
        {"test_bernoulli_seed", true, 0},
        {"test_bernoulli_seed_expanded", true, 0},
        {"test_dft_inverse", false, 1e-6},
        {"test_dft_inverse_opset19", false, 1e-6},
        {"test_training_dropout", true, 0},
        {"test_training_dropout_default", true, 0},
        {"test_training_dropout_default_mask", true, 0},
        {"test_training_dropout_mask", true, 0},
    };
    const size_t length = strcspn(name, "/");
    for (size_t i = 0; i < sizeof exceptions / sizeof exceptions[0]; i++)
        if (strlen(exceptions[i].name) == length && strncmp(exceptions[i].name, name, length) == 0)
            return &exceptions[i];
    return NULL;
}

/* Elements, once dtypes and dims agree. */
static bool agree(const verifier *v, const char *name, const mls_tensor *want, const void *got,
                  char *ret_difference, size_t size)
{
    const exception *e = verify_exception(name);
    tolerance limit = v->limit;
    if (e && e->is_random)
        return compare_draws(want, got, limit, ret_difference, size);
    if (e)
        limit.residue = e->residue;
    return compare_elements(want, got, limit, ret_difference, size);
}

static outcome compare_item(const verifier *v, const char *name, const char *output,
                            const mls_tensor *got, const mls_tensor *want)
{
    char difference[512], text[640];
    const mls_dtype dtype = mls_tensor_dtype(got);
    const int rank = mls_tensor_rank(got);
    const int64_t *dims = mls_tensor_dims(got);
    if (dtype != mls_tensor_dtype(want)) {
        snprintf(text, sizeof text, "output '%s' is %s, expected %s", output, mls_dtype_name(dtype),
                 mls_dtype_name(mls_tensor_dtype(want)));
        return fail(name, text, "");
    }
    if (!same_shape(want, rank, dims)) {
        char have[256], expected[256];
        print_dims(have, sizeof have, rank, dims);
        print_dims(expected, sizeof expected, mls_tensor_rank(want), mls_tensor_dims(want));
        snprintf(text, sizeof text, "output '%.64s' has dims%s, expected%s", output, have,
                 expected);
        return fail(name, text, "");
    }
    if (agree(v, name, want, mls_tensor_data(got), difference, sizeof difference))
        return PASSED;
    snprintf(text, sizeof text, "output '%.64s': ", output);
    return fail(name, text, difference);
}

static outcome compare_output(const verifier *v, const char *name, mls_session *session,
                              size_t index, const char *output, const contents *want)
{
    size_t count;
    char text[640];
    outcome result = PASSED;
    if (mls_session_output_count(session, index, &count))
        return fail(name, "", mls_error_message());
    if (count != want->count) {
        snprintf(text, sizeof text, "output '%.64s' holds %zu tensors, expected %zu", output, count,
                 want->count);
        return fail(name, text, "");
    }
    for (size_t i = 0; result == PASSED && i < count; i++) {
        mls_tensor *got;
        if (mls_session_output_item(session, index, i, &got))
            return fail(name, "", mls_error_message());
        result = compare_item(v, name, output, got, want->items[i]);
        mls_tensor_free(got);
    }
    return result;
}

static outcome compare_outputs(verifier *v, const char *name, const char *set,
                               const mls_model *model, mls_session *session)
{
    outcome result = PASSED;
    const size_t count = mls_model_output_count(model);
    size_t compared = 0, missing = 0;
    for (size_t i = 0; result == PASSED && i < count; i++) {
        char path[VERIFY_PATH_MOST];
        contents want = {.count = 0};
        mls_model_value value = MLS_MODEL_VALUE_INIT;
        mls_model_output(model, i, &value);
        verify_path(path, "%s/output_%zu.pb", set, i);
        if (!verify_is_file(path)) {
            missing = i; /* the case does not say what it expects there */
            continue;
        }
        compared++;
        const mls_status status = read_contents(v, path, &value, &want);
        result = status ? library_outcome(v, name, status)
                        : compare_output(v, name, session, i, value.name, &want);
        free_contents(&want);
    }
    if (result == PASSED && compared == 0)
        return fail(name, "",
                    "nothing to compare with: no output_0.pb, output_1.pb ... beside the inputs");
    if (result == PASSED && compared < count) {
        printf("PARTLY %s: %zu of %zu outputs compared; there is no output_%zu.pb\n", name,
               compared, count, missing);
        v->partial++;
    }
    return result;
}

/* A session that has run on the set's inputs. NULL, with *ret_result set, when there is none. */
static mls_session *session_of_set(verifier *v, const char *name, const char *set, mls_model *model,
                                   uint32_t numerics, outcome *ret_result)
{
    mls_session *session;
    mls_session_options session_options = v->session_options;
    session_options.numerics = numerics;
    mls_status status = mls_session_create(model, &session_options, &session);
    if (status) {
        *ret_result = library_outcome(v, name, status);
        return NULL;
    }
    *ret_result = bind_inputs_of(v, name, set, model, session);
    if (*ret_result == PASSED) {
        status = mls_session_run(session);
        *ret_result = status ? library_outcome(v, name, status) : PASSED;
    }
    if (*ret_result == PASSED)
        return session;
    mls_session_free(session);
    return NULL;
}

/* Runs the set once more, with exact numerics. */
static outcome measure_set(verifier *v, const char *name, const char *set, mls_model *model,
                           mls_session *fast)
{
    outcome result;
    mls_session *exact = session_of_set(v, name, set, model, MLS_NUMERICS_EXACT, &result);
    if (exact)
        deviations_add(&v->deviations, name, fast, exact, mls_model_output_count(model));
    mls_session_free(exact);
    return result;
}

static outcome run_set(verifier *v, const char *name, const char *set, mls_model *model)
{
    outcome result;
    const uint32_t numerics = v->session_options.numerics;
    mls_session *session = session_of_set(v, name, set, model, numerics, &result);
    if (!session)
        return result;
    if (numerics == MLS_NUMERICS_FAST)
        result = measure_set(v, name, set, model, session);
    if (result == PASSED)
        result = compare_outputs(v, name, set, model, session);
    mls_session_free(session);
    return result;
}

static outcome run_sets(verifier *v, const char *dir, const char *name, mls_model *model)
{
    outcome result = PASSED;
    size_t sets = 0;
    for (;; sets++) {
        char set[VERIFY_PATH_MOST], set_name[VERIFY_PATH_MOST];
        verify_path(set, "%s/test_data_set_%zu", dir, sets);
        if (result != PASSED || !verify_is_folder(set))
            break;
        verify_path(set_name, "%s/test_data_set_%zu", name, sets);
        result = run_set(v, set_name, set, model);
    }
    return sets ? result : skip(v, "no test_data_set_0 beside the model");
}

static outcome skip_unsupported(verifier *v, const mls_model *model)
{
    const char *op, *node, *why;
    char text[VERIFY_REASON_MOST];
    mls_model_unsupported(model, 0, &op, &node, &why);
    snprintf(text, sizeof text, "%s: %s", op, why);
    return skip(v, text);
}

outcome verify_case(verifier *v, const char *dir, const char *name)
{
    char path[VERIFY_PATH_MOST];
    mls_model *model;
    mls_model_options model_options = MLS_MODEL_OPTIONS_INIT;
    model_options.flags = MLS_MODEL_ALLOW_UNSUPPORTED;
    verify_path(path, "%s/model.onnx", dir);
    const mls_status status = mls_model_load(v->context, path, &model_options, &model);
    if (status)
        return library_outcome(v, name, status);
    const outcome result = mls_model_unsupported_count(model) ? skip_unsupported(v, model)
                                                              : run_sets(v, dir, name, model);
    mls_model_free(model);
    return result;
}
