package main

import (
	"context"
	"fmt"
	"sort"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

func compressions(w world) error {
	codecs := map[string]kgo.CompressionCodec{"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(),
		"snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression()}
	for name, codec := range codecs {
		topic, err := w.topic(name, 1, nil)
		if err != nil {
			return err
		}
		client := w.client(kgo.ProducerBatchCompression(codec))
		now := time.Now().Truncate(time.Millisecond)
		var sent []*kgo.Record
		for i := range 200 {
			sent = append(sent, &kgo.Record{Topic: topic, Key: fmt.Appendf(nil, "k%d", i), Value: fmt.Appendf(nil, "%s %0100d", name, i),
				Timestamp: now.Add(time.Duration(i) * time.Millisecond),
				Headers:   []kgo.RecordHeader{{Key: "n", Value: fmt.Appendf(nil, "%d", i)}}})
		}
		if err := client.ProduceSync(w.ctx, sent...).FirstErr(); err != nil {
			return err
		}
		client.Close()
		got, err := w.read(topic, kgo.ReadUncommitted())
		if err != nil {
			return err
		}
		if err := expect(len(got), len(sent), name); err != nil {
			return err
		}
		for i, record := range got {
			shown := func(r *kgo.Record) string {
				return fmt.Sprint(string(r.Key), string(r.Value), r.Timestamp.UnixMilli(), r.Headers)
			}
			if err := expect(shown(record), shown(sent[i]), "record"); err != nil {
				return err
			}
		}
	}
	return nil
}

func order(w world) error {
	topic, err := w.topic("t", 1, nil)
	if err != nil {
		return err
	}
	client := w.client(kgo.ProducerLinger(0), kgo.MaxBufferedRecords(100))
	defer client.Close()
	var wanted []string
	failed := make(chan error, 2000)
	for i := range 2000 {
		wanted = append(wanted, fmt.Sprint(i))
		client.Produce(w.ctx, &kgo.Record{Topic: topic, Value: []byte(fmt.Sprint(i))}, func(_ *kgo.Record, err error) {
			if err != nil {
				failed <- err
			}
		})
	}
	if err := client.Flush(w.ctx); err != nil {
		return err
	}
	if len(failed) > 0 {
		return <-failed
	}
	got, err := w.values(topic, kgo.ReadUncommitted())
	if err != nil {
		return err
	}
	return expect(got, wanted, "values")
}

// assignments polls all members and returns how many partitions each has, as the coordinator tells it.
func assignments(w world, admin *kadm.Client, members []*kgo.Client, group string) ([]int, error) {
	for _, member := range members {
		ctx, cancel := context.WithTimeout(w.ctx, 20*time.Millisecond)
		member.PollFetches(ctx)
		cancel()
	}
	described, err := admin.DescribeGroups(w.ctx, group)
	if err != nil {
		return nil, err
	}
	var sizes []int
	for _, member := range described[group].Members {
		size := 0
		if assigned, ok := member.Assigned.AsConsumer(); ok {
			for _, topic := range assigned.Topics {
				size += len(topic.Partitions)
			}
		}
		sizes = append(sizes, size)
	}
	if described[group].State != "Stable" {
		return nil, nil
	}
	sort.Ints(sizes)
	return sizes, nil
}

func sharing(w world, balancer kgo.GroupBalancer) error {
	topic, err := w.topic("t", 6, nil)
	if err != nil {
		return err
	}
	watcher := w.client()
	defer watcher.Close()
	admin := kadm.NewClient(watcher)
	var members []*kgo.Client
	join := func() {
		members = append(members, w.client(kgo.ConsumerGroup(w.name("g")), kgo.ConsumeTopics(topic), kgo.Balancers(balancer),
			kgo.HeartbeatInterval(300*time.Millisecond), kgo.SessionTimeout(10*time.Second)))
	}
	share := func(wanted ...int) error {
		return w.await(fmt.Sprint("shares ", wanted), func() (bool, error) {
			sizes, err := assignments(w, admin, members, w.name("g"))
			return fmt.Sprint(sizes) == fmt.Sprint(wanted), err
		})
	}
	for _, wanted := range [][]int{{6}, {3, 3}, {2, 2, 2}} {
		join()
		if err := share(wanted...); err != nil {
			return err
		}
	}
	members[2].Close()
	members = members[:2]
	if err := share(3, 3); err != nil {
		return err
	}
	for _, member := range members {
		member.Close()
	}
	return nil
}

func goesOn(w world) error {
	topic, err := w.topic("t", 1, nil)
	if err != nil {
		return err
	}
	producer := w.client()
	defer producer.Close()
	if err := w.send(producer, topic, "a", "b", "c", "d"); err != nil {
		return err
	}
	options := []kgo.Opt{kgo.ConsumerGroup(w.name("g")), kgo.ConsumeTopics(topic), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())}
	first := w.client(options...)
	record := first.PollRecords(w.ctx, 1).Records()[0]
	if err := first.CommitRecords(w.ctx, record); err != nil {
		return err
	}
	first.Close()
	second := w.client(options...)
	defer second.Close()
	return expect(string(second.PollRecords(w.ctx, 1).Records()[0].Value), "b", "the second begins")
}

func transactions(w world) error {
	topic, err := w.topic("t", 1, nil)
	if err != nil {
		return err
	}
	client := w.client(kgo.TransactionalID(w.name("tx")))
	defer client.Close()
	for i := range 6 {
		if err := client.BeginTransaction(); err != nil {
			return err
		}
		if err := w.send(client, topic, fmt.Sprint(i, "a"), fmt.Sprint(i, "b")); err != nil {
			return err
		}
		if err := client.EndTransaction(w.ctx, kgo.TransactionEndTry(i%2 == 0)); err != nil {
			return err
		}
	}
	var got []string
	if err := w.await("the last is seen", func() (bool, error) {
		got, err = w.values(topic, kgo.ReadCommitted())
		return len(got) == 6, err
	}); err != nil {
		return err
	}
	if err := expect(got, []string{"0a", "0b", "2a", "2b", "4a", "4b"}, "read committed"); err != nil {
		return err
	}
	got, err = w.values(topic, kgo.ReadUncommitted())
	if err != nil {
		return err
	}
	return expect(len(got), 12, "read uncommitted")
}

func fencing(w world) error {
	topic, err := w.topic("t", 1, nil)
	if err != nil {
		return err
	}
	var clients []*kgo.Client
	for i := range 2 {
		client := w.client(kgo.TransactionalID(w.name("tx")))
		defer client.Close()
		clients = append(clients, client)
		if err := client.BeginTransaction(); err != nil {
			return err
		}
		if err := w.send(client, topic, fmt.Sprint(i)); err != nil {
			return err
		}
	}
	if err := clients[1].EndTransaction(w.ctx, kgo.TryCommit); err != nil {
		return err
	}
	err = clients[0].EndTransaction(w.ctx, kgo.TryCommit)
	if err == nil {
		return fmt.Errorf("the first could still commit")
	}
	if refused(err, kerr.InvalidProducerEpoch, "") != nil && refused(err, kerr.ProducerFenced, "") != nil {
		return err
	}
	got, err := w.values(topic, kgo.ReadCommitted())
	if err != nil {
		return err
	}
	return expect(got, []string{"1"}, "read committed")
}

// copies moves numbers from topic to topic with a session that aborts now and then.
func copies(w world) error {
	source, err := w.topic("source", 3, nil)
	if err != nil {
		return err
	}
	target, err := w.topic("target", 1, nil)
	if err != nil {
		return err
	}
	producer := w.client(kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
	defer producer.Close()
	wanted := []string{}
	for i := range 300 {
		wanted = append(wanted, fmt.Sprintf("%03d", i))
	}
	if err := w.send(producer, source, wanted...); err != nil {
		return err
	}
	session, err := kgo.NewGroupTransactSession(kgo.SeedBrokers(w.bootstrap), kgo.TransactionalID(w.name("tx")),
		kgo.ConsumerGroup(w.name("g")), kgo.ConsumeTopics(source), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.RequireStableFetchOffsets(), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(200*time.Millisecond))
	if err != nil {
		return err
	}
	defer session.Close()
	for moved, round := 0, 0; moved < len(wanted); round++ {
		fetched := session.PollRecords(w.ctx, 40).Records()
		if err := w.ctx.Err(); err != nil {
			return fmt.Errorf("%d of %d are moved: %w", moved, len(wanted), err)
		}
		if err := session.Begin(); err != nil {
			return err
		}
		var records []*kgo.Record
		for _, record := range fetched {
			records = append(records, &kgo.Record{Topic: target, Value: record.Value})
		}
		if err := session.ProduceSync(w.ctx, records...).FirstErr(); err != nil {
			return err
		}
		committed, err := session.End(w.ctx, kgo.TransactionEndTry(round%3 != 1))
		if err != nil {
			return err
		}
		if committed {
			moved += len(fetched)
		}
	}
	got, err := w.values(target, kgo.ReadCommitted())
	if err != nil {
		return err
	}
	sort.Strings(got)
	return expect(got, wanted, "copies")
}
