# SPDX-License-Identifier: Apache-2.0
EXTRA_DIST += \
	%D%/allreduce.c \
	%D%/data/README.md \
	%D%/data/features.csv \
	%D%/data/h10_daily.csv \
	%D%/demo.sh \
	%D%/embed.c \
	%D%/embed.cpp \
	%D%/event_loop.c \
	%D%/job-types.yaml \
	%D%/models/README.md \
	%D%/models/volatility_mlp.onnx \
	%D%/models/volatility_mlp.reference.csv \
	%D%/models/volatility_trees.onnx \
	%D%/models/volatility_trees.reference.csv \
	%D%/pipeline.c \
	%D%/requirements.txt \
	%D%/sharded_matmul.c \
	%D%/train_models.py

# What the demo leaves in a build folder.
CLEANFILES += demo/volatility_mlp.csv demo/volatility_trees.csv
