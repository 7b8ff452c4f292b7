# SPDX-License-Identifier: Apache-2.0
dist_man_MANS += \
	%D%/mls_backend.3 \
	%D%/mls_context.3 \
	%D%/mls_group.3 \
	%D%/mls_job.3 \
	%D%/mls_job_types.3 \
	%D%/mls_model.3 \
	%D%/mls_plugin.3 \
	%D%/mls_queue.3 \
	%D%/mls_queue_driver.3 \
	%D%/mls_service.3 \
	%D%/mls_session.3 \
	%D%/mls_sharded.3 \
	%D%/mls_status.3 \
	%D%/mls_tensor.3 \
	%D%/mls_transport.3 \
	%D%/mls_worker.3 \
	%D%/mlscale-bench.1 \
	%D%/mlscale-job-types.5 \
	%D%/mlscale-launch.1 \
	%D%/mlscale.1
EXTRA_DIST += %D%/make_pages.py
