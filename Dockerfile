# The service with the default model: docker build -t twofold .
# It runs as a user without rights, and writes nothing: start it with --read-only (docs/serving.md).
FROM python:3.12-slim AS build
WORKDIR /build
RUN python -m venv /opt/twofold
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY src src
RUN /opt/twofold/bin/pip install --no-cache-dir --no-compile '.[serve,heif]'
RUN /opt/twofold/bin/pip uninstall --yes pip
# Compiled here, since nothing can be written where it runs.
RUN /opt/twofold/bin/python -m compileall -q -j 0 /opt/twofold/lib

FROM python:3.12-slim
COPY --from=build /opt/twofold /opt/twofold
ENV PATH=/opt/twofold/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/readyz', timeout=2)"]
ENTRYPOINT ["twofold", "serve", "--host", "0.0.0.0"]
