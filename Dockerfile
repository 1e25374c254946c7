ARG PYTHON_VERSION=3.13
ARG BASE_IMAGE=python:${PYTHON_VERSION}-slim
# For the label, which can't be read from the package: a build with a stale one fails.
ARG KVNODE_VERSION=0.1.0

FROM ${BASE_IMAGE} AS builder
# What is carried over has no pip; the one that fills it stays here.
RUN python -m venv /opt/builder && python -m venv --without-pip /opt/kvnode
WORKDIR /src
COPY . .
# Wheels only: the image has no compiler, and what would need one should fail here and clearly.
RUN /opt/builder/bin/pip --python /opt/kvnode/bin/python install \
    --no-cache-dir --disable-pip-version-check --only-binary :all: .
ARG KVNODE_VERSION
RUN test "$(/opt/kvnode/bin/kvnode --version)" = "kvnode ${KVNODE_VERSION}" \
    || { echo "KVNODE_VERSION is ${KVNODE_VERSION}, but the package has another version" >&2; exit 1; }

FROM ${BASE_IMAGE}
ARG KVNODE_VERSION
LABEL org.opencontainers.image.title="kvnode" \
      org.opencontainers.image.description="A causally consistent, always-writable, fully replicated key-value store" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${KVNODE_VERSION}"

# A base that has pip, as Python's own image does, keeps it beneath; nobody finds it here.
RUN ! python -B -m pip --version 2>/dev/null || python -B -m pip uninstall --yes pip setuptools wheel

# A fixed number, so that the owner of a volume stays the same from image to image.
RUN useradd --uid 7411 --user-group --no-create-home --home-dir /data kvnode \
    && install --directory --owner kvnode --group kvnode --mode 0750 /data
COPY --from=builder /opt/kvnode /opt/kvnode

ENV PATH=/opt/kvnode/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    KVNODE_DATA=/data \
    KVNODE_LISTEN=tcp://0.0.0.0:7411 \
    KVNODE_GOSSIP=tcp://0.0.0.0:7412

USER kvnode
WORKDIR /data
VOLUME /data
# The ports in here are these: the health check knows the first, and others are published.
EXPOSE 7411 7412
# A node that joins is alive, but not healthy yet. kv gives up before Docker does, so that the health
# log holds its error rather than a timeout.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["kv", "--timeout", "3", "ping", "--ready"]
ENTRYPOINT ["kvnode"]
CMD ["serve"]
