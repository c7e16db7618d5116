# docker build -t portcullis .
# The image holds one binary, no shell tools of its own, and runs as user 10001 on a read-only root:
# docker run --read-only --cap-drop ALL --security-opt no-new-privileges -v data:/data -p 8080:8080 portcullis

FROM node:22-bookworm-slim AS playground
WORKDIR /build
COPY playground/package.json playground/package-lock.json playground/.npmrc ./
RUN npm ci --no-audit --no-fund --ignore-scripts
COPY playground/ ./
RUN npm run build

FROM rust:1.95-bookworm AS build
WORKDIR /build
COPY . .
COPY --from=playground /build/dist playground/dist
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    cargo build --release --locked --bin portcullis && cp target/release/portcullis /portcullis
RUN install -d -o 10001 -g 10001 -m 0700 /empty

FROM debian:bookworm-slim
COPY --from=build --chown=root:root --chmod=0755 /portcullis /usr/local/bin/portcullis
COPY --from=build --chown=10001:10001 /empty /data
ENV PORTCULLIS_MODE=production \
    PORTCULLIS_LISTEN=0.0.0.0:8080 \
    PORTCULLIS_DATA_DIR=/data
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 CMD ["portcullis", "health"]
ENTRYPOINT ["portcullis"]
CMD ["serve"]
