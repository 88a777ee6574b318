# syntax=docker/dockerfile:1

# --- builds: the product, and the same with the development stack
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY benches benches
COPY migrations migrations
COPY powerdns powerdns
COPY src src
COPY tests tests
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --release --locked --no-default-features --bin scaidns \
 && install -D target/release/scaidns /out/scaidns

FROM build AS build-development
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin scaidns \
 && install -D target/release/scaidns /out/scaidns

# --- PowerDNS as powerdns/ describes it: Debian 12 has the version that everything was measured on
FROM debian:bookworm-slim AS powerdns
RUN apt-get update \
 && apt-get install -y --no-install-recommends pdns-server pdns-backend-mysql \
 && rm -rf /var/lib/apt/lists/* /etc/powerdns/pdns.d /etc/powerdns/pdns.conf
COPY powerdns/pdns.conf /etc/powerdns/pdns.conf.template
COPY --chmod=755 docker/powerdns.sh /usr/local/bin/powerdns.sh
USER pdns
EXPOSE 5300/udp 5300/tcp 8081/tcp
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s CMD ["pdns_control", "--socket-dir=/run/powerdns", "rping"]
ENTRYPOINT ["/usr/local/bin/powerdns.sh"]

# --- the small ScaiKey, for development alone
FROM gcr.io/distroless/cc-debian12:nonroot AS development
COPY --from=build-development /out/scaidns /usr/local/bin/scaidns
USER nonroot
ENTRYPOINT ["/usr/local/bin/scaidns"]

# --- the product: one executable, no shell, not root
FROM gcr.io/distroless/cc-debian12:nonroot AS scaidns
COPY --from=build /out/scaidns /usr/local/bin/scaidns
USER nonroot
ENV BIND_ADDRESS=0.0.0.0:8000 METRICS_BIND_ADDRESS=0.0.0.0:9090
EXPOSE 8000/tcp 9090/tcp
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD ["/usr/local/bin/scaidns", "health"]
ENTRYPOINT ["/usr/local/bin/scaidns"]
CMD ["api"]
