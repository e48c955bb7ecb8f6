"""Makes topics, writes to them and reads back what a read-committed consumer sees."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete
from waiting import wait_until

from farshore.bus.clients import Bus
from farshore.bus.end_of_log import end_of_log
from farshore.bus.topics import Topic


@asynccontextmanager
async def admin_of(bootstrap: str) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        await admin.start()
        yield admin
    finally:
        await admin.close()


async def make_topic(bootstrap: str, name: str, partitions: int = 1) -> None:
    async with admin_of(bootstrap) as admin:
        answer = await admin.create_topics([NewTopic(name, partitions, 1)])
        assert [entry[1] for entry in answer.topic_errors] == [0], answer

        async def is_known() -> bool:
            return name in await admin.list_topics()

        await wait_until(is_known, 20, f"{name} to be known to the broker")


async def delete_topic(bootstrap: str, name: str) -> None:
    async with admin_of(bootstrap) as admin:
        await admin.delete_topics([name])

        async def is_gone() -> bool:
            return name not in await admin.list_topics()

        await wait_until(is_gone, 20, f"{name} to be gone")


async def delete_before(bootstrap: str, partition: TopicPartition, offset: int) -> None:
    """What retention does, at once."""
    async with admin_of(bootstrap) as admin:
        await admin.delete_records({partition: RecordsToDelete(before_offset=offset)})


async def write(bus: Bus, topic: str, values: Iterable[bytes], partition: int = 0) -> None:
    producer = bus.producer()
    await producer.start()
    try:
        sent = [await producer.send(topic, value, partition=partition) for value in values]
        for delivery in sent:
            await delivery
    finally:
        await producer.stop()


async def write_transaction(
    producer: AIOKafkaProducer, topic: str, values: Iterable[bytes], *, commit: bool = True
) -> None:
    """One transaction on partition 0 with a started producer."""
    await producer.begin_transaction()
    for value in values:
        await producer.send_and_wait(topic, value, partition=0)
    await (producer.commit_transaction() if commit else producer.abort_transaction())


async def read_topic(bus: Bus, topic: Topic) -> list[ConsumerRecord[bytes, bytes]]:
    """All committed records of one of farshore's topics up to now, each partition's in order."""
    return await read_from_the_beginning(
        bus, [TopicPartition(topic.name, number) for number in range(topic.partitions)]
    )


async def read_from_the_beginning(bus: Bus, places: Iterable[TopicPartition]) -> list[ConsumerRecord[bytes, bytes]]:
    """All committed records of `places` up to now, each partition's in order."""
    places = list(places)
    consumer: AIOKafkaConsumer = bus.reader()
    consumer.assign(places)
    await consumer.start()
    try:
        await consumer.seek_to_beginning(*places)
        ends = await consumer.end_offsets(places)
        found: list[ConsumerRecord[bytes, bytes]] = []
        for place in places:
            while await consumer.position(place) < ends[place]:
                found += (await consumer.getmany(place, timeout_ms=200)).get(place, [])
        return found
    finally:
        await consumer.stop()


async def read_all(bus: Bus, topic: str, partition: int = 0) -> list[ConsumerRecord[bytes, bytes]]:
    """Every committed record of a partition that stands still and has no open transaction."""
    place = TopicPartition(topic, partition)
    end = await end_of_log(bus, place)
    consumer: AIOKafkaConsumer = bus.reader()
    consumer.assign([place])
    await consumer.start()
    try:
        consumer.seek(place, (await consumer.beginning_offsets([place]))[place])
        found: list[ConsumerRecord[bytes, bytes]] = []

        async def at_the_end() -> bool:
            found.extend((await consumer.getmany(place, timeout_ms=100)).get(place, []))
            return int(await consumer.position(place)) >= end

        await wait_until(at_the_end, 20, f"the end of {topic}, {end}")
        return found
    finally:
        await consumer.stop()
