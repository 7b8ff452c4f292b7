# SPDX-License-Identifier: Apache-2.0
# Every stored or sent record is defined here; protobuf-c makes the readers.
EXTRA_DIST +=
