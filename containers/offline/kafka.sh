#!/bin/bash
# As the official image does: KAFKA_NODE_ID becomes node.id, and an empty log is formatted first.
set -eu
properties=/tmp/kafka.properties
env | sed -n 's/^KAFKA_\([A-Z0-9_]*\)=\(.*\)/\1 \2/p' | while read -r name value; do
    case $name in *_OPTS) continue ;; esac
    echo "$(echo "$name" | tr 'A-Z_' 'a-z.')=$value"
done > "$properties"
# shellcheck disable=SC2086  # options are words
set -- ${KAFKA_HEAP_OPTS:-} -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp '/opt/kafka/*'
[ -f "$KAFKA_LOG_DIRS/meta.properties" ] ||
    java "$@" kafka.tools.StorageTool format --cluster-id="${CLUSTER_ID:-d2RtLXdkbS13ZG0td2RtMQ}" --config "$properties"
# Without a logging library of its own it does not say when it serves: it is asked for its versions (key 18) until it answers.
{
    until (exec 3<>/dev/tcp/localhost/9092 && printf '\0\0\0\12\0\22\0\0\0\0\0\7\377\377' >&3 && timeout 2 head -c 8 <&3 | grep -q .) 2>/dev/null
    do sleep 0.2; done
    echo 'Kafka Server started'
} &
exec java "$@" kafka.Kafka "$properties"
