/* SPDX-License-Identifier: Apache-2.0 */
/* The smallest host program: load a model, score one row. */
#include <mlscale.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    /* 21 March 1974 in examples/data/features.csv */
    const float row[11] = {-0.8757f, -1.5159f, -0.8433f, -0.7864f, -1.5531f, 1.3212f,
                           0.6376f,  0.6163f,  3.3609f,  -2.3979f, -0.3563f};
    const char *path = argc > 1 ? argv[1] : "examples/models/volatility_mlp.onnx";
    mls_context *context = NULL;
    mls_model *model = NULL;
    mls_session *session = NULL;
    const int failed =
        mls_context_create(NULL, &context) || mls_model_load(context, path, NULL, &model) ||
        mls_session_create(model, NULL, &session) ||
        mls_session_bind_input_data(session, 0, row, sizeof row) || mls_session_run(session);
    if (failed)
        fprintf(stderr, "%s\n", mls_error_message());
    else
        printf("log variance: %g\n", *(const float *) mls_session_output_data(session, 0));
    mls_session_free(session);
    mls_model_free(model);
    mls_context_free(context);
    return failed;
}
