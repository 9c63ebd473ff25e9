# syntax=docker/dockerfile:1

# Everything that Onefold needs, from the lock file, in a virtual environment that the second stage takes over. Every
# requirement is a wheel, so that nothing is compiled and no compiler is needed.
FROM python:3.12-slim AS build
WORKDIR /opt/onefold
RUN python -m venv --without-pip .venv
COPY requirements.lock ./
RUN pip --python .venv/bin/python install --no-cache-dir --disable-pip-version-check \
    --require-hashes --only-binary :all: -r requirements.lock
# The project itself: a path file and a script, as the Makefile does it, so that no build backend is needed.
RUN echo /opt/onefold > .venv/lib/python3.12/site-packages/onefold.pth \
    && printf '%s\n' '#!/opt/onefold/.venv/bin/python' 'import sys' 'from app.cli import main' 'sys.exit(main())' \
    > .venv/bin/onefold \
    && chmod +x .venv/bin/onefold
COPY app app
COPY workers workers
# The user below cannot write here, so the bytecode is made now.
RUN .venv/bin/python -m compileall -q app workers

FROM python:3.12-slim
RUN useradd --system --uid 10001 --home-dir /var/lib/onefold --shell /usr/sbin/nologin onefold \
    && install --directory --owner onefold --group onefold --mode 700 /var/lib/onefold /var/lib/onefold/files
COPY --from=build /opt/onefold /opt/onefold
COPY LICENSE /opt/onefold/
WORKDIR /opt/onefold
# Without DATABASE_URL and REDIS_URL, `onefold up` keeps everything in the data directory: give it a volume.
ENV PATH=/opt/onefold/.venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    ONEFOLD_DATA_DIR=/var/lib/onefold
USER onefold
EXPOSE 8080
# For the API, which is the default command. docker-compose.yml has the health checks of the other services.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/readyz', timeout=3)"]
ENTRYPOINT ["onefold"]
CMD ["api", "--host", "0.0.0.0"]
