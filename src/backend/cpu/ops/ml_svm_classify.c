/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The classes of a support vector machine. With vectors, every pair of classes votes; the
 * score of a pair is the sum over the vectors of both, in float64. With prob_a and prob_b,
 * probabilities of pairs (Platt) are coupled to those of classes as libsvm does it (Wu, Lin
 * and Weng, "Probability Estimates for Multi-class Classification by Pairwise Coupling",
 * 2004, second method); in float32 and in the order of ONNX Runtime, since the iteration
 * ends where its error is still of the order of 0.001.
 */
#include "backend/cpu/ops/ml_svm.h"

#include <math.h>
#include <string.h>

/* --- pairs ----------------------------------------------------------------------------------- */

/* Eight sums, value i to sum i mod 8, then a tree: an order that depends on `count` only. */
static double dot(const float *a, const float *b, int64_t count)
{
    double sums[8] = {0};
    int64_t i = 0;
    for (; i + 8 <= count; i += 8)
        for (int k = 0; k < 8; k++)
            sums[k] += (double) a[i + k] * (double) b[i + k];
    for (int k = 0; i < count; i++, k++)
        sums[k] += (double) a[i] * (double) b[i];
    for (int half = 4; half; half /= 2)
        for (int k = 0; k < half; k++)
            sums[k] += sums[k + half];
    return sums[0];
}

/* Scores of pairs, and how many of them each class wins. */
static void vote(const mls__svm *svm, const float *values, double *pairs, int64_t *votes)
{
    const int64_t classes = (int64_t) svm->labels.count, vectors = svm->vector_count;
    int64_t first_of_i = 0, pair = 0;
    memset(votes, 0, (size_t) classes * sizeof *votes);
    for (int64_t i = 0; i < classes; i++) {
        int64_t first_of_j = first_of_i + svm->class_vectors[i];
        for (int64_t j = i + 1; j < classes; j++, pair++) {
            const float *of_i = svm->coefficients + (j - 1) * vectors + first_of_i;
            const float *of_j = svm->coefficients + i * vectors + first_of_j;
            const double score = dot(of_i, values + first_of_i, svm->class_vectors[i]) +
                                 dot(of_j, values + first_of_j, svm->class_vectors[j]) +
                                 (double) svm->rho[pair];
            pairs[pair] = score;
            votes[score > 0.0 ? i : j]++;
            first_of_j += svm->class_vectors[j];
        }
        first_of_i += svm->class_vectors[i];
    }
}

static size_t most_votes(const int64_t *votes, size_t count)
{
    size_t best = 0;
    for (size_t i = 1; i < count; i++)
        if (votes[i] > votes[best])
            best = i;
    return best;
}

/* --- probabilities --------------------------------------------------------------------------- */

/* r[i * n + j]: the probability of class i against class j. */
static void pair_probabilities(const mls__svm *svm, const double *pairs, float *r, float *scratch)
{
    const size_t n = svm->labels.count, count = n * (n - 1) / 2;
    size_t pair = 0;
    for (size_t i = 0; i < count; i++)
        scratch[i] = -((float) pairs[i] * svm->prob_a[i] + svm->prob_b[i]);
    mls__transform_rows(svm->base.cpu, MLS__TRANSFORM_LOGISTIC, scratch, 1, (int64_t) count);
    for (size_t i = 0; i < n; i++)
        for (size_t j = i + 1; j < n; j++, pair++) {
            const float p = fminf(fmaxf(scratch[pair], 1.0e-7f), 1 - 1.0e-7f);
            r[i * n + j] = p;
            r[j * n + i] = 1 - p;
        }
}

static void coupling_matrix(const float *r, size_t n, float *q)
{
    for (size_t i = 0; i < n; i++) {
        float sum = 0;
        for (size_t j = 0; j < n; j++)
            if (j != i)
                sum += r[j * n + i] * r[j * n + i];
        for (size_t j = 0; j < n; j++)
            q[i * n + j] = j == i ? sum : -(r[j * n + i] * r[i * n + j]);
    }
}

/* Qp and p'Qp; true when the error is small enough. */
static bool is_coupled(const float *q, const float *p, size_t n, float *qp, float *ret_pqp)
{
    float pqp = 0, error = 0;
    for (size_t i = 0; i < n; i++) {
        qp[i] = 0;
        for (size_t j = 0; j < n; j++)
            qp[i] += q[i * n + j] * p[j];
        pqp += p[i] * qp[i];
    }
    for (size_t i = 0; i < n; i++)
        error = fmaxf(error, fabsf(qp[i] - pqp));
    *ret_pqp = pqp;
    return error < 0.005f / (float) n;
}

static void couple(const float *q, size_t n, float *qp, float *p)
{
    float pqp;
    for (size_t i = 0; i < n; i++)
        p[i] = 1.0f / (float) n;
    for (int round = 0; round < 100 && !is_coupled(q, p, n, qp, &pqp); round++)
        for (size_t i = 0; i < n; i++) {
            const float diag = q[i * n + i];
            const float step = (-qp[i] + pqp) / diag;
            p[i] += step;
            pqp = (pqp + step * (step * diag + 2 * qp[i])) / (1 + step) / (1 + step);
            for (size_t j = 0; j < n; j++) {
                qp[j] = (qp[j] + step * q[i * n + j]) / (1 + step);
                p[j] /= (1 + step);
            }
        }
}

/* --- outputs --------------------------------------------------------------------------------- */

/*
 * Without vectors: the greatest score wins, but that of two classes the second one does where
 * the greatest score is positive, or at least 1/2 if no coefficient is negative.
 */
static size_t choose_linear(const mls__svm *svm, const float *values)
{
    const size_t best = mls__argmax(values, svm->labels.count);
    if (svm->labels.count != 2)
        return best;
    const bool is_second = svm->is_probability ? values[best] >= 0.5f : values[best] > 0.0f;
    return is_second ? 1 : best;
}

static void classify_linear(const mls__svm *svm, const float *values, int64_t row, void *labels,
                            float *scores)
{
    const int64_t classes = (int64_t) svm->labels.count;
    mls__label_set(&svm->labels, labels, row, choose_linear(svm, values));
    if (!scores)
        return;
    float *out = scores + row * classes;
    memcpy(out, values, (size_t) classes * sizeof *out);
    if (classes > 1 || svm->transform == MLS__TRANSFORM_PROBIT)
        mls__transform_rows(svm->base.cpu, svm->transform, out, 1, classes);
}

/* One row of scores; without probabilities those of pairs, or both columns of the only pair. */
static void write_scores(const mls__svm *svm, const double *pairs, char *slice, float *out)
{
    const size_t n = svm->labels.count;
    float *scratch = (float *) (slice + svm->scores_offset);
    if (svm->prob_a) {
        float *r = (float *) (slice + svm->matrix_offset);
        float *q = r + n * n, *qp = q + n * n;
        pair_probabilities(svm, pairs, r, scratch);
        coupling_matrix(r, n, q);
        couple(q, n, qp, out);
        mls__transform_rows(svm->base.cpu, svm->transform, out, 1, (int64_t) n);
    } else if (n == 2) {
        mls__transform_pair(svm->base.cpu, svm->transform, svm->transform != MLS__TRANSFORM_NONE,
                            (float) pairs[0], out);
    } else {
        for (int64_t i = 0; i < svm->score_columns; i++)
            out[i] = (float) pairs[i];
        mls__transform_rows(svm->base.cpu, svm->transform, out, 1, svm->score_columns);
    }
}

void mls__svm_classify(const mls__svm *svm, const float *values, int64_t row, char *slice,
                       void *labels, float *scores)
{
    int64_t *votes = (int64_t *) (slice + svm->votes_offset);
    double *pairs = (double *) (slice + svm->pairs_offset);
    if (!svm->has_vectors) {
        classify_linear(svm, values, row, labels, scores);
        return;
    }
    vote(svm, values, pairs, votes);
    mls__label_set(&svm->labels, labels, row, most_votes(votes, svm->labels.count));
    if (scores)
        write_scores(svm, pairs, slice, scores + row * svm->score_columns);
}
