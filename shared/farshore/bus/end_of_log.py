"""Where a partition's log ends, open transactions included."""

from aiokafka import AIOKafkaConsumer, TopicPartition

from farshore.bus.clients import Bus
from farshore.bus.closing import stop_consumer


async def end_of_log(bus: Bus, partition: TopicPartition) -> int:
    """The offset after the last record, committed or not.

    A read-committed consumer is told the end of what is *stable*, which an open transaction of anybody's holds back.
    """
    consumer: AIOKafkaConsumer = bus.reader(committed=False)
    try:
        await consumer.start()
        offsets = await consumer.end_offsets([partition])
        return int(offsets[partition])
    finally:
        await stop_consumer(consumer)
