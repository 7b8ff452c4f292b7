/* SPDX-License-Identifier: Apache-2.0 */
/* What groups compute and move, held against what MPI does. */
#ifndef MLS_TESTS_CONFORMANCE_TRANSPORT_AGAINST_MPI_H
#define MLS_TESTS_CONFORMANCE_TRANSPORT_AGAINST_MPI_H

#include "conformance/transport/suite.h"

void against_mpi_add(TCase *tests);

#endif
