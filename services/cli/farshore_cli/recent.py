"""What was lately written to a topic."""

import time
from collections.abc import AsyncIterator

from aiokafka import AIOKafkaConsumer, TopicPartition

from farshore.bus.clients import Bus
from farshore.bus.closing import stop_consumer
from farshore.bus.topics import Topic


async def recent_records(bus: Bus, topic: Topic, seconds: float) -> AsyncIterator[tuple[bytes | None, bytes]]:
    """Type and value of the records that were written within the last `seconds`, partition by partition."""
    consumer: AIOKafkaConsumer = bus.reader()
    await consumer.start()
    try:
        partitions = [TopicPartition(topic.name, number) for number in range(topic.partitions)]
        consumer.assign(partitions)
        since = int((time.time() - seconds) * 1000)
        starts = await consumer.offsets_for_times(dict.fromkeys(partitions, since))
        ends = await consumer.end_offsets(partitions)
        for partition in partitions:
            start = starts[partition]
            consumer.seek(partition, start.offset if start is not None else ends[partition])
        for partition in partitions:
            while await consumer.position(partition) < ends[partition]:
                batch = await consumer.getmany(partition, timeout_ms=500)
                for record in batch.get(partition, []):
                    yield dict(record.headers).get("ce_type"), record.value or b""
    finally:
        await stop_consumer(consumer)
