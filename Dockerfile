# One image for the three services (and for what `wdm chaos` puts between them). Built by `docker compose build`, or by
# `wdm images build`; where the context has a folder `wheels`, pip asks no index.
ARG BASE=python:3.11.11-slim-bookworm

FROM ${BASE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
RUN python3 -m venv /tools && python3 -m venv --without-pip /opt/wdm
COPY containers/service.lock containers/build.lock wheel[s] /wheels/
RUN if ls /wheels/*.whl >/dev/null 2>&1; then export PIP_NO_INDEX=1 PIP_FIND_LINKS=/wheels; fi \
    && /tools/bin/pip install --quiet --require-hashes -r /wheels/build.lock \
    && /tools/bin/pip --python /opt/wdm/bin/python3 install --quiet --require-hashes -r /wheels/service.lock
COPY . /src
RUN /tools/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir /dist /src \
    && /tools/bin/pip --python /opt/wdm/bin/python3 install --quiet --no-deps --no-index /dist/*.whl

FROM ${BASE}
COPY --from=build /opt/wdm /opt/wdm
# Bytecode of all, of Python's own library too: the user of a container may write none, and one that starts again must serve soon.
RUN mkdir /etc/wdm && { python3 -m compileall -qq -j 0 "$(dirname "$(python3 -c 'import os; print(os.__file__)')")" /opt/wdm/lib || true; }
USER 10001:10001
WORKDIR /tmp
ENV PATH=/opt/wdm/bin:$PATH PYTHONUNBUFFERED=1
# What it was built from, as `wdm up` knows it.
ARG SOURCE=
LABEL wdm.source=${SOURCE}
CMD ["python3", "-P", "-m", "protocols.service"]
