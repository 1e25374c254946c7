ARG PYTHON_VERSION=3.13
ARG BASE_IMAGE=python:${PYTHON_VERSION}-slim

FROM ${BASE_IMAGE} AS builder
RUN python -m venv /opt/kvnode
WORKDIR /src
COPY . .
# Wheels only: the image has no compiler, and what would need one should fail here and clearly.
RUN /opt/kvnode/bin/pip install --no-cache-dir --disable-pip-version-check --only-binary :all: .

FROM ${BASE_IMAGE}
LABEL org.opencontainers.image.title="kvnode" \
      org.opencontainers.image.description="A causally consistent, always-writable, fully replicated key-value store" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="0.1.0"

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
EXPOSE 7411 7412
# kv gives up before Docker does, so that the health log holds its error rather than a timeout.
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 \
    CMD ["kv", "--timeout", "3", "ping"]
ENTRYPOINT ["kvnode"]
CMD ["serve"]
