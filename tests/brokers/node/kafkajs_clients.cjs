// What kafkajs does with a broker: `node kafkajs_clients.cjs BOOTSTRAP PREFIX`, with NODE_PATH where it is installed.
// Prints a line per scenario; each makes its own topics.
'use strict'
process.env.KAFKAJS_NO_PARTITIONER_WARNING = '1'
const assert = require('node:assert/strict')
const { Kafka, CompressionTypes, ConfigResourceTypes, logLevel } = require('kafkajs')

const [bootstrap, prefix] = process.argv.slice(2)
const PATIENCE_MS = 30000
const TOO_LONG_MS = 90000
const kafka = new Kafka({ clientId: 'clients', brokers: [bootstrap], logLevel: logLevel.NOTHING, retry: { retries: 8, initialRetryTime: 50 } })

/** Names of one scenario, and what it opened and must close. */
class World {
  constructor (scenario) {
    this.prefix = `${prefix}-${scenario.replaceAll('_', '-')}`
    this.opened = []
  }

  name (what) { return `${this.prefix}.${what}` }

  async open (client, close = 'disconnect') {
    await client.connect()
    this.opened.push(() => client[close]())
    return client
  }

  admin () { return this.open(kafka.admin()) }
  producer (config = {}) { return this.open(kafka.producer(config)) }

  async topic (what, numPartitions = 1, config = {}) {
    const admin = await this.admin()
    const configEntries = Object.entries(config).map(([name, value]) => ({ name, value }))
    await admin.createTopics({ topics: [{ topic: this.name(what), numPartitions, replicationFactor: 1, configEntries }], waitForLeaders: true })
    return this.name(what)
  }

  /** A member of a group that collects what it is given. */
  async member (group, topic, config = {}) {
    const consumer = await this.open(kafka.consumer({ groupId: this.name(group), sessionTimeout: 10000, heartbeatInterval: 300, maxWaitTimeInMs: 200, ...config }))
    const member = { consumer, messages: [], assigned: 0, joins: 0 }
    consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
      member.joins++
      member.assigned = Object.values(payload.memberAssignment).flat().length
    })
    await consumer.subscribe({ topics: [topic], fromBeginning: true })
    member.running = consumer.run({
      autoCommit: config.autoCommit ?? true,
      autoCommitInterval: 100,
      eachMessage: async ({ partition, message }) => { member.messages.push({ partition, ...message }) }
    })
    return member
  }

  /** What a group of its own reads from a topic, once there are as many. */
  async read (topic, count, group = 'reader', config = {}) {
    const member = await this.member(group, topic, config)
    await until(`${count} messages of ${topic}`, () => member.messages.length >= count)
    return member.messages
  }

  async close () {
    for (const close of this.opened.reverse()) await close().catch(() => {})
  }
}

async function until (what, condition) {
  const end = Date.now() + PATIENCE_MS
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`${what}: not within ${PATIENCE_MS} ms`)
    await new Promise(resolve => setTimeout(resolve, 50))
  }
}

const texts = messages => messages.map(message => message.value.toString())
const refused = (promise, type) => assert.rejects(promise, error => {
  const types = [error.type, error.cause?.type, error.name, ...(error.errors ?? []).map(one => one.type)]
  assert.ok(types.includes(type), `refused with ${types}, expected ${type}`)
  return true
})

const scenarios = {
  async messages_come_back_whole (world) {
    for (const [name, compression] of [['none', CompressionTypes.None], ['gzip', CompressionTypes.GZIP]]) {
      const topic = await world.topic(name)
      const producer = await world.producer()
      const now = Date.now()
      const messages = Array.from({ length: 100 }, (_, i) => ({ key: `k${i}`, value: `${name} ${i}`.repeat(10), headers: { n: String(i) }, timestamp: String(now + i), partition: 0 }))
      const [{ baseOffset }] = await producer.send({ topic, compression, acks: -1, messages })
      assert.equal(baseOffset, '0')
      const got = await world.read(topic, 100, name)
      assert.deepEqual(got.map(m => [m.key.toString(), m.value.toString(), m.headers.n.toString(), m.timestamp, m.offset]),
        messages.map((m, i) => [m.key, m.value, m.headers.n, m.timestamp, String(i)]))
    }
  },

  async null_values_and_all_acks_work (world) {
    const topic = await world.topic('t')
    const producer = await world.producer()
    await producer.send({ topic, acks: 1, messages: [{ key: 'k', value: null }] })
    await producer.send({ topic, acks: 0, messages: [{ key: null, value: 'zero' }] })
    await producer.sendBatch({ topicMessages: [{ topic, messages: [{ value: 'batch' }] }] })
    const got = await world.read(topic, 3)
    assert.deepEqual(got.map(m => m.value && m.value.toString()), [null, 'zero', 'batch'])
  },

  async an_idempotent_producer_keeps_the_order (world) {
    const topic = await world.topic('t')
    const producer = await world.producer({ idempotent: true, maxInFlightRequests: 1 })
    for (let i = 0; i < 50; i++) await producer.send({ topic, messages: [{ value: String(i) }] })
    assert.deepEqual(texts(await world.read(topic, 50)), Array.from({ length: 50 }, (_, i) => String(i)))
  },

  async a_message_over_the_topics_limit_is_refused (world) {
    const topic = await world.topic('t', 1, { 'max.message.bytes': '1000' })
    const producer = await world.producer({ retry: { retries: 0 } })
    await refused(producer.send({ topic, messages: [{ value: 'x'.repeat(5000) }] }), 'MESSAGE_TOO_LARGE')
  },

  async members_share_partitions (world) {
    const topic = await world.topic('t', 4)
    const members = [await world.member('g', topic)]
    await until('the first has all', () => members[0].assigned === 4)
    members.push(await world.member('g', topic))
    await until('two share', () => members.every(member => member.assigned === 2))
    const producer = await world.producer()
    for (let partition = 0; partition < 4; partition++) await producer.send({ topic, messages: [{ value: 'x', partition }] })
    await until('all messages', () => members.flatMap(member => member.messages).length === 4)
    const admin = await world.admin()
    const { groups: [described] } = await admin.describeGroups([world.name('g')])
    assert.deepEqual([described.state, described.members.length, described.protocol], ['Stable', 2, 'RoundRobinAssigner'])
    await members[1].consumer.disconnect()
    await until('the first has all again', () => members[0].assigned === 4)
  },

  async a_group_goes_on_where_it_committed (world) {
    const topic = await world.topic('t')
    const producer = await world.producer()
    await producer.send({ topic, messages: [{ value: 'a' }, { value: 'b' }, { value: 'c' }] })
    const member = await world.member('g', topic, { autoCommit: false })
    await until('all messages', () => member.messages.length === 3)
    await member.consumer.commitOffsets([{ topic, partition: 0, offset: '2', metadata: 'notes' }])
    await member.consumer.disconnect()
    const admin = await world.admin()
    const [{ partitions: [found] }] = await admin.fetchOffsets({ groupId: world.name('g'), topics: [topic] })
    assert.deepEqual([found.offset, found.metadata], ['2', 'notes'])
    assert.deepEqual(texts(await world.read(topic, 1, 'g')), ['c'])
  },

  async a_reader_seeks (world) {
    const topic = await world.topic('t')
    const producer = await world.producer()
    await producer.send({ topic, messages: Array.from({ length: 20 }, (_, i) => ({ value: String(i) })) })
    const member = await world.member('g', topic)
    await until('all messages', () => member.messages.length === 20)
    member.messages.length = 0
    member.consumer.seek({ topic, partition: 0, offset: '18' })
    await until('two messages', () => member.messages.length === 2)
    assert.deepEqual(texts(member.messages), ['18', '19'])
  },

  async transactions_are_atomic (world) {
    const topic = await world.topic('t')
    const producer = await world.producer({ transactionalId: world.name('tx'), idempotent: true, maxInFlightRequests: 1 })
    for (let i = 0; i < 4; i++) {
      const transaction = await producer.transaction()
      await transaction.send({ topic, messages: [{ value: `${i}a` }, { value: `${i}b` }] })
      await (i % 2 ? transaction.abort() : transaction.commit())
    }
    assert.deepEqual(texts(await world.read(topic, 4)), ['0a', '0b', '2a', '2b'])
    assert.equal((await world.read(topic, 8, 'lax', { readUncommitted: true })).length, 8)
  },

  async offsets_go_with_the_transaction (world) {
    const topic = await world.topic('t')
    const producer = await world.producer({ transactionalId: world.name('tx'), idempotent: true, maxInFlightRequests: 1 })
    const admin = await world.admin()
    const send = async (offset, end) => {
      const transaction = await producer.transaction()
      await transaction.send({ topic, messages: [{ value: offset }] })
      await transaction.sendOffsets({ consumerGroupId: world.name('g'), topics: [{ topic, partitions: [{ partition: 0, offset }] }] })
      await transaction[end]()
    }
    const committed = async () => (await admin.fetchOffsets({ groupId: world.name('g'), topics: [topic] }))[0].partitions[0].offset
    await send('5', 'commit')
    await until('it is committed', async () => await committed() === '5')
    await send('9', 'abort')
    assert.equal(await committed(), '5')
  },

  async topics_and_configs_are_administered (world) {
    const topic = await world.topic('t', 2, { 'retention.ms': '1234567' })
    const admin = await world.admin()
    assert.equal(await admin.createTopics({ topics: [{ topic }] }), false)
    await refused(admin.createTopics({ topics: [{ topic: 'no spaces' }] }), 'INVALID_TOPIC_EXCEPTION')
    assert.ok((await admin.listTopics()).includes(topic))
    await admin.createPartitions({ topicPartitions: [{ topic, count: 4 }] })
    await until('four partitions', async () => (await admin.fetchTopicMetadata({ topics: [topic] })).topics[0].partitions.length === 4)
    const resource = { type: ConfigResourceTypes.TOPIC, name: topic }
    const value = async name => (await admin.describeConfigs({ resources: [{ ...resource, configNames: [name] }], includeSynonyms: false })).resources[0].configEntries[0].configValue
    assert.equal(await value('retention.ms'), '1234567')
    await admin.alterConfigs({ validateOnly: false, resources: [{ ...resource, configEntries: [{ name: 'segment.ms', value: '77777' }] }] })
    await until('the altered config', async () => await value('segment.ms') === '77777')
    await admin.deleteTopics({ topics: [topic] })
    await until('it is gone', async () => !(await admin.listTopics()).includes(topic))
    await refused(admin.deleteTopics({ topics: [topic] }), 'UNKNOWN_TOPIC_OR_PARTITION')
  },

  async groups_and_offsets_are_administered (world) {
    const topic = await world.topic('t')
    const groupId = world.name('g')
    const admin = await world.admin()
    const producer = await world.producer()
    const now = Date.now()
    for (const at of [1000, 9000, 2000]) await producer.send({ topic, messages: [{ value: 'x', timestamp: String(now + at) }] })
    assert.deepEqual(await admin.fetchTopicOffsets(topic), [{ partition: 0, offset: '3', high: '3', low: '0' }])
    assert.equal((await admin.fetchTopicOffsetsByTimestamp(topic, now + 1500))[0].offset, '1')
    await admin.setOffsets({ groupId, topic, partitions: [{ partition: 0, offset: '1' }] })
    assert.equal((await admin.fetchOffsets({ groupId, topics: [topic] }))[0].partitions[0].offset, '1')
    await admin.resetOffsets({ groupId, topic, earliest: false })
    const { groups } = await admin.listGroups()
    assert.ok(groups.some(group => group.groupId === groupId))
    await admin.deleteGroups([groupId])
    await refused(admin.deleteGroups([groupId]), 'KafkaJSDeleteGroupsError')
    await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '2' }] })
    assert.equal((await admin.fetchTopicOffsets(topic))[0].low, '2')
  },

  async the_cluster_is_described (world) {
    const admin = await world.admin()
    const { brokers, controller, clusterId } = await admin.describeCluster()
    assert.equal(brokers.length, 1)
    assert.equal(controller, brokers[0].nodeId)
    assert.ok(clusterId.length > 0)
  }
}

async function outcome (name, run) {
  const world = new World(name)
  let timer
  const late = new Promise((resolve, reject) => { timer = setTimeout(() => reject(new Error(`has not ended after ${TOO_LONG_MS} ms`)), TOO_LONG_MS) })
  try {
    await Promise.race([run(world), late])
    console.log(`ok ${name}`)
    return true
  } catch (error) {
    console.log(`FAILED ${name}: ${String(error.stack ?? error).replaceAll(/\s+/g, ' ').slice(0, 600)}`)
    return false
  } finally {
    clearTimeout(timer)
    await Promise.race([world.close(), new Promise(resolve => setTimeout(resolve, 5000))])
  }
}

async function main () {
  const waiting = Object.entries(scenarios)
  let good = true
  await Promise.all(Array.from({ length: 4 }, async () => {
    while (waiting.length > 0) {
      const [name, run] = waiting.shift()
      good = await outcome(name, run) && good
    }
  }))
  process.exit(good ? 0 : 1)
}

main()
