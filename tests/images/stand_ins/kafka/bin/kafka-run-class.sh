#!/bin/sh
# Runs a class of Kafka's, as the file of this name in Kafka's distribution does.
exec /opt/java/bin/java -Xms64m -Xmx"${HEAP:-256m}" -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \
  --sun-misc-unsafe-memory-access=allow -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -cp '/opt/kafka/libs/*' "$@"
