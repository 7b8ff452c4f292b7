/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mlscale verify: runs the cases of ONNX's backend test data. A case is a folder with
 * model.onnx and test_data_set_N/{input,output}_K.pb; other folders are searched for
 * cases.
 */
#include "commands.h"
#include "common.h"
#include "verify_case.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const option_spec options[] = {
    {"rtol", "X",
     "relative tolerance of floats (default 0.001); fast: to the\nlargest of the output (default "
     "0.05)"},
    {"atol", "X", "absolute tolerance of floats (default 1e-7)"},
    SESSION_THREADS,
    SESSION_NUMERICS,
    {"verbose", NULL, "print a line for every case, not only for failures"},
    {NULL, NULL, NULL},
};

static void judge(verifier *v, const char *dir)
{
    static const char *const words[OUTCOMES] = {"pass", "fail", "skip", "contradiction"};
    const char *slash = strrchr(dir, '/');
    const char *name = slash && slash[1] ? slash + 1 : dir;
    const outcome result = verify_case(v, dir, name);
    const exception *e = verify_exception(name);
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
    char path[VERIFY_PATH_MOST];
    struct dirent **entries;
    verify_path(path, "%s/model.onnx", dir);
    if (verify_is_file(path)) {
        judge(v, dir);
        return true;
    }
    const int count = depth < 8 ? scandir(dir, &entries, no_dots, alphasort) : -1;
    if (count < 0) {
        failure("cannot read the folder '%s'", dir);
        return false;
    }
    bool good = true;
    for (int i = 0; i < count; i++) {
        verify_path(path, "%s/%s", dir, entries[i]->d_name);
        if (good && verify_is_folder(path))
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
    if (v->partial)
        printf("%zu data sets say nothing of some outputs, which were not compared\n", v->partial);
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
        printf(
            "tolerance to the expected outputs: %g + %g * the largest |expected| of the output\n",
            v->limit.absolute, v->limit.relative);
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
    v.limit.is_of_largest = is_fast;
    if (!arguments_double(args, "rtol", 0, is_fast ? 0.05 : 1e-3, &v.limit.relative) ||
        !arguments_double(args, "atol", 0, 1e-7, &v.limit.absolute))
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
               "A set without any expected output fails: there is nothing to compare. One that\n"
               "lacks some of them is named.\n"
               "Of cases that draw random numbers, what both drew is compared, and how many.\n"
               "A case whose data do not have the dims that its model declares is named.\n"
               "With --numerics fast each set is run with exact numerics too, and how far\n"
               "the results lie apart is printed for each and in the end for all.",
    .options = options,
    .run = verify,
};
