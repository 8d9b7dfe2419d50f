# The measured process and nothing else. Built by the classic builder as well (no RUN --mount, no
# heredocs). `invoke build` puts the context together; by hand it is `docker build .`.
#
#   BASE_IMAGE  any Debian or Ubuntu image; python3 and gcc are installed if they are missing
#   TORCH       a requirement such as torch==2.13.0, or `keep` what the base image has
#   WHEELHOUSE  folder of the context with wheels to prefer; may be missing
#   CA_BUNDLE   file of the context with certificates for the package index; may be missing
#   OFFLINE     1: every package comes from the wheelhouse
#   SOURCE_DATE_EPOCH  the time that every file put into the image bears
#
# torch brings its own CUDA libraries, so the base flavour of the CUDA image is enough.
ARG BASE_IMAGE=nvidia/cuda:13.0.2-base-ubuntu24.04
FROM ${BASE_IMAGE} AS base
USER root
# First of all, so that the layers of a build that broke off bear it and `invoke clean` finds them.
LABEL vace-bench.build="1" \
      org.opencontainers.image.title="vace-bench" \
      org.opencontainers.image.licenses="Apache-2.0"

# Triton and inductor compile their launchers with gcc at run time.
RUN if ! { command -v gcc && python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))'; } >/dev/null 2>&1; then \
      apt-get update && \
      DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        ca-certificates g++ gcc libc6-dev python3 python3-dev python3-venv && \
      rm -rf /var/lib/apt/lists/*; \
    fi

# Wheels, certificates and pip's leavings stay in this stage: only what was installed is taken on.
FROM base AS packages
ARG WHEELHOUSE=wheelhouse
ARG CA_BUNDLE=ca-bundle.pem
RUN mkdir -p /build/wheelhouse && : > /build/ca-bundle.pem
# The lock makes the COPY valid where the context has no wheelhouse or no bundle.
COPY locks/container.in ${WHEELHOUSE}* /build/wheelhouse/
COPY locks/container.in locks/container.txt locks/torch.txt harness/host/install.py ${CA_BUNDLE}* /build/
ARG TORCH=torch==2.13.0
ARG OFFLINE=0
ARG SOURCE_DATE_EPOCH=1767225600
RUN SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH} VACE_BENCH_OFFLINE=${OFFLINE} python3 /build/install.py "${TORCH}"

FROM base
ARG SOURCE_DATE_EPOCH=1767225600
# An ordinary user; its two folders are its own, so that volumes mounted there are too.
RUN getent passwd 1000 >/dev/null || echo 'bench:x:1000:1000::/tmp:/bin/sh' >> /etc/passwd; \
    mkdir -p /exchange /cache && chown 1000:1000 /exchange /cache && \
    touch -d "@${SOURCE_DATE_EPOCH}" /etc /etc/passwd /exchange /cache
COPY --from=packages /opt/vace-bench /opt/vace-bench

COPY harness/*.py /opt/vace-bench/app/harness/
COPY harness/analysis /opt/vace-bench/app/harness/analysis/
COPY harness/workload /opt/vace-bench/app/harness/workload/
COPY harness/measure /opt/vace-bench/app/harness/measure/

ENV PATH=/opt/vace-bench/bin:$PATH \
    PYTHONPATH=/opt/vace-bench/app:/opt/vace-bench/site \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 1000:1000
WORKDIR /exchange
ENTRYPOINT ["python", "-m", "harness.measure"]
