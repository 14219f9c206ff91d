# Stands in for the official image: the distribution's RabbitMQ. The server's own script, since the one on PATH insists on a user.
ARG BASE
FROM ${BASE}
COPY docker-entrypoint.sh /usr/local/bin/
RUN install -d -o rabbitmq -g rabbitmq /var/lib/rabbitmq /var/log/rabbitmq
ENV PATH=/usr/lib/rabbitmq/bin:$PATH HOME=/var/lib/rabbitmq RABBITMQ_LOGS=-
USER rabbitmq
WORKDIR /var/lib/rabbitmq
VOLUME /var/lib/rabbitmq
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["rabbitmq-server"]
