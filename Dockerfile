# The container of the jobs: `scorer` with its locked dependencies, as nobody in particular, on a root it never writes to.
# `make image` builds it where no engine runs, and tries it.
#
#   docker build -t scorer .                                    CPU
#   docker build -t scorer:gpu --build-arg HARDWARE=gpu .       with the CUDA libraries; the host brings the driver
#   docker run --rm --read-only --tmpfs /tmp scorer --help
#   docker run --rm --read-only --tmpfs /tmp --entrypoint python3 scorer -m jobs.score
#
# Where builds must be repeatable to the byte, pin the base: python:3.11-slim-bookworm@sha256:... (both stages).
ARG HARDWARE=cpu

FROM python:3.11-slim-bookworm AS build
ARG HARDWARE
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build

# Locks first: a change of code does not fetch 3 GB again. pip, not uv: it reads the builder's own pip configuration.
# Only wheels: nothing is compiled, so that no compiler is needed; bytecode is written now, since later nothing can be.
# What nobody runs here goes at once, 0.5 GB: TensorFlow's headers, the compiler library that it asks for, others' tests.
COPY requirements.lock requirements-gpu.lock requirements-build.lock ./
RUN case "$HARDWARE" in \
      cpu) lock=requirements.lock ;; \
      gpu) lock=requirements-gpu.lock ;; \
      *) echo "HARDWARE is cpu or gpu, not '$HARDWARE'." >&2; exit 2 ;; \
    esac \
    && python3 -m venv /tools \
    && python3 -m venv --without-pip /opt/scorer \
    && /tools/bin/pip install --require-hashes -r requirements-build.lock \
    && /tools/bin/pip --python /opt/scorer/bin/python3 install --require-hashes --only-binary :all: -r "$lock" \
    && packages=/opt/scorer/lib/python3.11/site-packages \
    && rm -rf "$packages/tensorflow/include" "$packages/clang/native" "$packages/pyarrow/include" \
    && find "$packages" -type d -name tests -prune -exec rm -rf {} +

COPY pyproject.toml README.md LICENSE ./
COPY scorer scorer
COPY jobs jobs
COPY schemas schemas
RUN /tools/bin/hatchling build -t wheel -d /wheels \
    && /tools/bin/pip --python /opt/scorer/bin/python3 install --no-deps --no-index /wheels/*.whl

FROM python:3.11-slim-bookworm
LABEL org.opencontainers.image.title="scorer" \
      org.opencontainers.image.description="Scores marketplace listings, numbers and images together, as a batch job." \
      org.opencontainers.image.licenses="Apache-2.0"

# The base's own installers go; the dependencies live in /opt/scorer, which never had pip.
RUN rm -rf /usr/local/lib/python3.11/ensurepip /usr/local/lib/python3.11/site-packages/* /usr/local/bin/pip* \
    && useradd --uid 10001 --home-dir /tmp --no-create-home --shell /usr/sbin/nologin scorer

COPY --from=build /opt/scorer /opt/scorer

# HOME and TMPDIR: with --read-only mount a tmpfs or a volume on /tmp, the one place that is written to besides the
# folders of the job itself. CUDA's runtime hooks read the NVIDIA variables; elsewhere they mean nothing.
ENV PATH=/opt/scorer/bin:$PATH \
    HOME=/tmp \
    TMPDIR=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    TF_CPP_MIN_LOG_LEVEL=2 \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility

USER 10001:10001
WORKDIR /tmp
ENTRYPOINT ["scorer"]
CMD ["--help"]
