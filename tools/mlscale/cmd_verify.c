/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mlscale verify: runs the cases of ONNX's backend test data. A case is a folder with
 * model.onnx and test_data_set_N/{input,output}_K.pb; other folders are searched for
 * cases.
 */
#include "commands.h"
#include "common.h"
#include "compare.h"
#include "deviation.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define PATH_MOST   4096
#define REASON_MOST 256
#define MAX_ITEMS   256 /* of a sequence */

static const option_spec options[] = {
    {"rtol", "X", "relative tolerance of floats (default 0.001; fast: 0.05)"},
    {"atol", "X", "absolute tolerance of floats (default 1e-7; fast: 0.05)"},
    SESSION_THREADS,
    SESSION_NUMERICS,
    {"verbose", NULL, "print a line for every case, not only for failures"},
    {NULL, NULL, NULL},
};

/* CONTRADICTED: the data of a case are not what its model declares. */
typedef enum outcome { PASSED, FAILED, SKIPPED, CONTRADICTED } outcome;
#define OUTCOMES 4

/* Why cases were skipped, each with its count. */
typedef struct reason {
    char text[REASON_MOST];
    size_t count;
} reason;

typedef struct verifier {
    mls_context *context;
    tolerance limit;
    mls_session_options session_options;
    deviations deviations; /* of fast numerics */
    bool is_verbose;
    size_t counts[OUTCOMES];
    size_t drawn;    /* cases of which only what random numbers allow is compared ... */
    size_t residues; /* ... and those whose expected 0 is not quite 0 */
    reason *reasons;
    size_t reason_count;
} verifier;

/* A path too long is cut, and then is no file. */
static void __attribute__((format(printf, 2, 3)))
print_path(char path[PATH_MOST], const char *format, ...)
{
    va_list list;
    va_start(list, format);
    vsnprintf(path, PATH_MOST, format, list);
    va_end(list);
}

static bool is_file(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

static bool is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

static outcome skip(verifier *v, const char *text)
{
    for (size_t i = 0; i < v->reason_count; i++)
        if (strncmp(v->reasons[i].text, text, REASON_MOST - 1) == 0) {
            v->reasons[i].count++;
            return SKIPPED;
        }
    reason *more = realloc(v->reasons, (v->reason_count + 1) * sizeof *more);
    if (more) {
        v->reasons = more;
        snprintf(more[v->reason_count].text, REASON_MOST, "%s", text);
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
        char path[PATH_MOST];
        contents c = {.count = 0};
        mls_model_value value = MLS_MODEL_VALUE_INIT;
        mls_model_input(model, i, &value);
        print_path(path, "%s/input_%zu.pb", set, i);
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

/* Cases whose expected outputs say less than others'. */
typedef struct exception {
    const char *name;
    bool is_random; /* drawn by another generator */
    double residue; /* what float32 left where the exact result is 0 */
} exception;

static const exception *find_exception(const char *name)
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
    const exception *e = find_exception(name);
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
    for (size_t i = 0; result == PASSED && i < mls_model_output_count(model); i++) {
        char path[PATH_MOST];
        contents want = {.count = 0};
        mls_model_value value = MLS_MODEL_VALUE_INIT;
        mls_model_output(model, i, &value);
        print_path(path, "%s/output_%zu.pb", set, i);
        if (!is_file(path))
            continue; /* the case does not say what it expects there */
        const mls_status status = read_contents(v, path, &value, &want);
        result = status ? library_outcome(v, name, status)
                        : compare_output(v, name, session, i, value.name, &want);
        free_contents(&want);
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
        char set[PATH_MOST], set_name[PATH_MOST];
        print_path(set, "%s/test_data_set_%zu", dir, sets);
        if (result != PASSED || !is_folder(set))
            break;
        print_path(set_name, "%s/test_data_set_%zu", name, sets);
        result = run_set(v, set_name, set, model);
    }
    return sets ? result : skip(v, "no test_data_set_0 beside the model");
}

static outcome skip_unsupported(verifier *v, const mls_model *model)
{
    const char *op, *node, *why;
    char text[REASON_MOST];
    mls_model_unsupported(model, 0, &op, &node, &why);
    snprintf(text, sizeof text, "%s: %s", op, why);
    return skip(v, text);
}

static outcome run_case(verifier *v, const char *dir, const char *name)
{
    char path[PATH_MOST];
    mls_model *model;
    mls_model_options model_options = MLS_MODEL_OPTIONS_INIT;
    model_options.flags = MLS_MODEL_ALLOW_UNSUPPORTED;
    print_path(path, "%s/model.onnx", dir);
    const mls_status status = mls_model_load(v->context, path, &model_options, &model);
    if (status)
        return library_outcome(v, name, status);
    const outcome result = mls_model_unsupported_count(model) ? skip_unsupported(v, model)
                                                              : run_sets(v, dir, name, model);
    mls_model_free(model);
    return result;
}

static void verify_case(verifier *v, const char *dir)
{
    static const char *const words[OUTCOMES] = {"pass", "fail", "skip", "contradiction"};
    const char *slash = strrchr(dir, '/');
    const char *name = slash && slash[1] ? slash + 1 : dir;
    const outcome result = run_case(v, dir, name);
    const exception *e = find_exception(name);
    v->counts[result]++;
    v->drawn += e && e->is_random && result == PASSED;
    v->residues += e && e->residue > 0 && result == PASSED;
    if (v->is_verbose && (result == PASSED || result == SKIPPED))
        printf("%s %s%s\n", words[result], name,
               !e || result != PASSED ? ""
               : e->is_random         ? " (random: draws and how many)"
                                      : " (some expected zeros are residues)");
}

static int no_dots(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* Cases below `dir`, in the order of their names. false after a message. */
static bool verify_tree(verifier *v, const char *dir, int depth)
{
    char path[PATH_MOST];
    struct dirent **entries;
    print_path(path, "%s/model.onnx", dir);
    if (is_file(path)) {
        verify_case(v, dir);
        return true;
    }
    const int count = depth < 8 ? scandir(dir, &entries, no_dots, alphasort) : -1;
    if (count < 0) {
        failure("cannot read the folder '%s'", dir);
        return false;
    }
    bool good = true;
    for (int i = 0; i < count; i++) {
        print_path(path, "%s/%s", dir, entries[i]->d_name);
        if (good && is_folder(path))
            good = verify_tree(v, path, depth + 1);
        free(entries[i]);
    }
    free(entries);
    return good;
}

static int compare_reasons(const void *a, const void *b)
{
    return strcmp(((const reason *) a)->text, ((const reason *) b)->text);
}

static void print_summary(verifier *v)
{
    if (v->reason_count) {
        qsort(v->reasons, v->reason_count, sizeof *v->reasons, compare_reasons);
        printf("skipped, because something is missing:\n");
    }
    for (size_t i = 0; i < v->reason_count; i++)
        printf("%6zu  %s\n", v->reasons[i].count, v->reasons[i].text);
    if (v->drawn)
        printf("%zu of the passed draw random numbers: what both drew is compared, and how many\n",
               v->drawn);
    if (v->residues)
        printf("%zu of the passed expect residues of float32 where the exact result, ours, is 0\n",
               v->residues);
    if (v->counts[CONTRADICTED])
        printf("%zu contradict themselves: their data do not have the dims that their model "
               "declares\n",
               v->counts[CONTRADICTED]);
    if (v->session_options.numerics == MLS_NUMERICS_FAST) {
        deviations_print(&v->deviations);
        printf("tolerance to the expected outputs: %g + %g * |expected|\n", v->limit.absolute,
               v->limit.relative);
    }
    printf("%zu passed, %zu failed, %zu skipped\n", v->counts[PASSED], v->counts[FAILED],
           v->counts[SKIPPED]);
}

static int verify(const arguments *args)
{
    verifier v = {.session_options = MLS_SESSION_OPTIONS_INIT,
                  .is_verbose = arguments_has(args, "verbose")};
    if (!session_options_read(args, &v.session_options))
        return EXIT_USAGE;
    /* Operands of bfloat16 have 8 bits, and sums of them may cancel. */
    const bool is_fast = v.session_options.numerics == MLS_NUMERICS_FAST;
    if (!arguments_double(args, "rtol", 0, is_fast ? 0.05 : 1e-3, &v.limit.relative) ||
        !arguments_double(args, "atol", 0, is_fast ? 0.05 : 1e-7, &v.limit.absolute))
        return EXIT_USAGE;
    if (mls_context_create(NULL, &v.context))
        return library_failure(NULL);
    bool good = true;
    for (size_t i = 0; good && i < arguments_operand_count(args); i++)
        good = verify_tree(&v, arguments_operand(args, i), 0);
    if (good)
        print_summary(&v);
    if (good &&
        v.counts[PASSED] + v.counts[FAILED] + v.counts[SKIPPED] + v.counts[CONTRADICTED] == 0)
        good = failure("there is no model.onnx below the given folders") == EXIT_GOOD;
    free(v.reasons);
    mls_context_free(v.context);
    return good && !v.counts[FAILED] ? EXIT_GOOD : EXIT_FAILED;
}

const command command_verify = {
    .name = "verify",
    .operands = "DIR...",
    .min_operands = 1,
    .max_operands = SIZE_MAX,
    .summary = "run ONNX backend test cases and compare with their outputs",
    .details = "A case is a folder with model.onnx and test_data_set_0/input_0.pb, output_0.pb\n"
               "and so on; other folders are searched. A case whose model needs what the\n"
               "library does not have is skipped, and the end of the output says what.\n"
               "Of cases that draw random numbers, what both drew is compared, and how many.\n"
               "A case whose data do not have the dims that its model declares is named.\n"
               "With --numerics fast each set is run with exact numerics too, and how far\n"
               "the results lie apart is printed for each and in the end for all.",
    .options = options,
    .run = verify,
};
