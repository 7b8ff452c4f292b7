/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The product of one type, for gemm_plain.c, which includes this once a type with
 *   TYPE             the elements' type
 *   NAME, PART(what) the names of the product and of its parts
 *   TAKE(a, b, sum)  a product taken into a sum
 *   FACTOR(factor)   alpha or beta as TYPE
 */

/* Rows of a block of B, padded to COLUMNS with zeros. */
typedef TYPE PART(block)[BLOCK_K][COLUMNS];

static void PART(copy)(const mls__gemm_plain *g, int64_t k, int64_t ks, int64_t column,
                       int64_t columns, PART(block) ret_block)
{
    const TYPE *b = g->b;
    for (int64_t i = 0; i < ks; i++)
        for (int64_t j = 0; j < COLUMNS; j++)
            ret_block[i][j] =
                j < columns ? b[(k + i) * g->b_row + (column + j) * g->b_step] : (TYPE) 0;
}

static void PART(run_row)(TYPE sums[COLUMNS], const TYPE *a, int64_t a_step, int64_t ks,
                          PART(block) block)
{
    TYPE s[COLUMNS];
    MLS_UNROLL
    for (int j = 0; j < COLUMNS; j++)
        s[j] = sums[j];
    for (int64_t k = 0; k < ks; k++) {
        const TYPE x = a[k * a_step];
        MLS_UNROLL
        for (int j = 0; j < COLUMNS; j++)
            s[j] = TAKE(x, block[k][j], s[j]);
    }
    MLS_UNROLL
    for (int j = 0; j < COLUMNS; j++)
        sums[j] = s[j];
}

/* The sums of a block over k, which y carries from one block to the next. */
static void PART(run_block)(const mls__gemm_plain *g, int64_t row, int64_t rows, int64_t k,
                            int64_t ks, int64_t column, int64_t columns)
{
    PART(block) block;
    PART(copy)(g, k, ks, column, columns, block);
    for (int64_t i = row; i < row + rows; i++) {
        TYPE *y = (TYPE *) g->y + i * g->y_row + column;
        const TYPE *a = (const TYPE *) g->a + i * g->a_row + k * g->a_step;
        TYPE sums[COLUMNS] = {0};
        if (k > 0)
            memcpy(sums, y, (size_t) columns * sizeof *y);
        PART(run_row)(sums, a, g->a_step, ks, block);
        memcpy(y, sums, (size_t) columns * sizeof *y);
    }
}

static void PART(finish)(const mls__gemm_plain *g, int64_t row)
{
    const TYPE alpha = FACTOR(g->alpha), beta = FACTOR(g->beta);
    TYPE *y = (TYPE *) g->y + row * g->y_row;
    for (int64_t j = 0; j < g->n; j++)
        y[j] = alpha * y[j];
    if (g->c == NULL)
        return;
    const TYPE *c = (const TYPE *) g->c + row * g->c_row;
    for (int64_t j = 0; j < g->n; j++)
        y[j] = TAKE(beta, c[j * g->c_step], y[j]);
}

void MLS_ISA_NAME(NAME)(const mls__gemm_plain *g, int64_t row, int64_t rows)
{
    for (int64_t column = 0; column < g->n; column += COLUMNS) {
        const int64_t columns = g->n - column < COLUMNS ? g->n - column : COLUMNS;
        int64_t k = 0;
        do {
            const int64_t ks = g->k - k < BLOCK_K ? g->k - k : BLOCK_K;
            PART(run_block)(g, row, rows, k, ks, column, columns);
            k += ks;
        } while (k < g->k);
    }
    for (int64_t i = row; i < row + rows; i++)
        PART(finish)(g, i);
}

#undef TYPE
#undef NAME
#undef PART
#undef TAKE
#undef FACTOR
