/* SPDX-License-Identifier: Apache-2.0 */
/* Ops on texts. Those that make strings, or as many as they find, are the host's. */
#include "graph/schema/families.h"

#include "op/tfidf.h"

static mls_status infer_tfidf(const mls_op *op, mls_arg *ret_outputs)
{
    const mls_arg *x = &op->inputs[0];
    mls__tfidf t;
    mls_status status = mls__op_tfidf(op, &t);
    if (status)
        return status;
    if (t.strings)
        status = mls__infer_dtype(op, 0, MLS__DTYPE_BIT(MLS_STRING), "string, as the pool is");
    else
        status = mls__infer_dtype(op, 0, MLS__DTYPE_BIT(MLS_INT64) | MLS__DTYPE_BIT(MLS_INT32),
                                  "int64 or int32, as the pool is");
    if (status)
        return status;
    if (x->rank > 2)
        return mls__op_error(op, MLS_ESHAPE, "input 0 has %d dimensions, expected 1 or 2", x->rank);
    const int64_t dims[] = {x->rank == 2 ? x->dims[0] : t.width, t.width};
    return mls__infer_set(op, &ret_outputs[0], MLS_FLOAT32, x->rank == 2 ? 2 : 1, dims);
}

mls__op_schema_table mls__schemas_text = {
    {"", "StringConcat", 2, 2, 1, 1, MLS__OP_HOST, 0, NULL, NULL},
    {"", "StringNormalizer", 1, 1, 1, 1, MLS__OP_HOST, 0, NULL,
     "case_change_action:string is_case_sensitive:int locale:string stopwords:strings"},
    {"", "StringSplit", 1, 1, 1, 2, MLS__OP_HOST, 0, NULL, "delimiter:string maxsplit:int"},
    {"", "TfIdfVectorizer", 1, 1, 1, 1, 0, 0, infer_tfidf,
     "max_gram_length:int! max_skip_count:int! min_gram_length:int! mode:string! "
     "ngram_counts:ints! ngram_indexes:ints! pool_int64s:ints pool_strings:strings weights:floats"},
    {.type = NULL},
};
