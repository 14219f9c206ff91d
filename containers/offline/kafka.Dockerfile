# Stands in for the official image: Kafka's published jars on the distribution's Java.
ARG BASE
FROM ${BASE}
COPY jars /opt/kafka
COPY kafka.sh /usr/local/bin/kafka
RUN chmod 755 /usr/local/bin/kafka && useradd --system --no-create-home kafka && install -d -o kafka -g kafka /var/lib/kafka/data
USER kafka
WORKDIR /tmp
VOLUME /var/lib/kafka/data
CMD ["kafka"]
