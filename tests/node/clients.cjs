// kafkajs and @kafkajs/confluent-schema-registry, unchanged, against our registry and enforcer.
//
// usage: node clients.cjs BROKERS REGISTRY PREFIX, with NODE_PATH where the packages are
'use strict';

const assert = require('node:assert/strict');
const { Kafka, logLevel } = require('kafkajs');
const { SchemaRegistry, SchemaType, COMPATIBILITY } = require('@kafkajs/confluent-schema-registry');

const NAME = 'meter.readings.v1';
const COUNT = 200;

async function refused(status, call) {
  await assert.rejects(call, (error) => {
    assert.equal(error.status, status, error.message);
    return true;
  });
}

async function registryCalls(registry, subject, inbox) {
  const schema = (fields) => ({
    type: SchemaType.AVRO,
    schema: JSON.stringify({ type: 'record', name: 'R', namespace: 'n', fields }),
  });
  const first = [{ name: 'a', type: 'int' }];
  const second = [...first, { name: 'b', type: ['null', 'string'], default: null }];
  const options = { subject, compatibility: COMPATIBILITY.FULL };
  const { id } = await registry.register(schema(first), options);
  assert.equal((await registry.register(schema(first), options)).id, id);
  // A level that is not the subject's is told before anything is registered.
  await assert.rejects(
    registry.register(schema(second), { subject, compatibility: COMPATIBILITY.NONE }),
    /Compatibility does not match/,
  );
  const newer = (await registry.register(schema(second), options)).id;
  assert.notEqual(newer, id);
  assert.equal(await registry.getLatestSchemaId(subject), newer);
  assert.equal(await registry.getRegistryId(subject, 1), id);
  assert.equal(await registry.getRegistryIdBySchema(subject, schema(first)), id);
  await refused(409, registry.register(schema([{ name: 'a', type: 'string' }]), options));
  await refused(404, registry.getLatestSchemaId(`${subject}-nowhere`));
  const encoded = await registry.encode(newer, { a: 1, b: 'text' });
  assert.deepEqual({ ...(await registry.decode(encoded)) }, { a: 1, b: 'text' });
  return registry.getLatestSchemaId(`${inbox}-value`);
}

async function produce(kafka, registry, inbox, id) {
  const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 });
  await producer.connect();
  const messages = [];
  for (let number = 0; number < COUNT; number += 1) {
    const sensor = `s${number}`;
    const value = await registry.encode(id, { sensor, seq: 1, value: 2.5, note: null });
    messages.push({ key: sensor, value });
  }
  // One that is out of range, and one that is JSON by mistake.
  messages.push({ key: 's1', value: await registry.encode(id, { sensor: 's1', seq: 2, value: 101, note: null }) });
  messages.push({ key: 's1', value: JSON.stringify({ sensor: 's1', seq: 3, value: 1 }) });
  await producer.send({ topic: inbox, messages });
  await producer.disconnect();
}

async function consume(kafka, groupId, topic, expected, each) {
  // kafkajs reads committed records unless it is told otherwise; it is said all the same.
  const consumer = kafka.consumer({ groupId, readUncommitted: false });
  await consumer.connect();
  await consumer.subscribe({ topics: [topic], fromBeginning: true });
  const seen = [];
  await new Promise((resolve, reject) => {
    const limit = setTimeout(() => reject(new Error(`${seen.length} of ${expected} of ${topic} in time`)), 60_000);
    const eachMessage = async ({ message }) => {
      try {
        seen.push(await each(message));
        if (seen.length === expected) {
          clearTimeout(limit);
          resolve();
        }
      } catch (error) {
        reject(error);
      }
    };
    consumer.run({ eachMessage }).catch(reject);
  });
  await consumer.disconnect();
  return seen;
}

async function main([brokers, url, prefix]) {
  const registry = new SchemaRegistry({ host: url });
  const kafka = new Kafka({ clientId: 'node', brokers: [brokers], logLevel: logLevel.ERROR });
  const inbox = `${prefix}.inbox.${NAME}`;
  const id = await registryCalls(registry, `${prefix}-node`, inbox);
  await produce(kafka, registry, inbox, id);
  const product = await consume(kafka, `${prefix}-node`, `${prefix}.${NAME}`, COUNT, async (message) => {
    const reading = await registry.decode(message.value);
    assert.equal(reading.sensor, message.key.toString());
    return `${reading.sensor}/${reading.seq}/${reading.value}`;
  });
  const sent = Array.from({ length: COUNT }, (_, number) => `s${number}/1/2.5`);
  assert.deepEqual([...product].sort(), sent.sort());
  const held = await consume(kafka, `${prefix}-node-held`, `${prefix}.quarantine.${NAME}`, 2, async (message) =>
    message.headers['weir.reason'].toString(),
  );
  assert.match(held[0], /must be at most 100/);
  assert.match(held[1], /the value is JSON/);
  console.log(`${COUNT} records sent and read, ${held.length} held back; the registry answers as expected`);
}

main(process.argv.slice(2)).then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
