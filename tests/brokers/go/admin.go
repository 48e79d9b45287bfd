package main

import (
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// first returns the first error of several.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func topics(w world) error {
	topic, err := w.topic("t", 2, map[string]*string{"retention.ms": text("1234567")})
	if err != nil {
		return err
	}
	client := w.client()
	defer client.Close()
	admin := kadm.NewClient(client)
	_, exists := admin.CreateTopic(w.ctx, 1, 1, nil, topic)
	_, copies := admin.CreateTopic(w.ctx, 1, 3, nil, w.name("r"))
	_, invalid := admin.CreateTopic(w.ctx, 1, 1, nil, "no spaces")
	_, config := admin.CreateTopic(w.ctx, 1, 1, map[string]*string{"retention.ms": text("soon")}, w.name("c"))
	if err := first(refused(exists, kerr.TopicAlreadyExists, "existing"), refused(copies, kerr.InvalidReplicationFactor, "copies"),
		refused(invalid, kerr.InvalidTopicException, "name"), refused(config, kerr.InvalidConfig, "config")); err != nil {
		return err
	}
	grown, err := admin.UpdatePartitions(w.ctx, 4, topic)
	if err := first(err, grown.Error()); err != nil {
		return err
	}
	if err := w.await("four partitions", func() (bool, error) {
		found, err := admin.ListTopics(w.ctx, topic)
		return len(found[topic].Partitions) == 4, err
	}); err != nil {
		return err
	}
	altered, err := admin.AlterTopicConfigs(w.ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "max.message.bytes", Value: text("5000")}}, topic)
	if err != nil || altered[0].Err != nil {
		return fmt.Errorf("alter: %w, %v", err, altered)
	}
	if err := w.await("the altered config", func() (bool, error) {
		found, err := admin.DescribeTopicConfigs(w.ctx, topic)
		if err != nil {
			return false, err
		}
		values := map[string]string{}
		for _, config := range found[0].Configs {
			values[config.Key] = config.MaybeValue()
		}
		return values["max.message.bytes"] == "5000" && values["retention.ms"] == "1234567", nil
	}); err != nil {
		return err
	}
	deleted, err := admin.DeleteTopics(w.ctx, topic)
	if err := first(err, deleted.Error()); err != nil {
		return err
	}
	if err := w.await("it is gone", func() (bool, error) {
		found, err := admin.ListTopics(w.ctx)
		return err == nil && !found.Has(topic), err
	}); err != nil {
		return err
	}
	_, missing := admin.DeleteTopic(w.ctx, topic)
	return refused(missing, kerr.UnknownTopicOrPartition, "missing")
}

func groups(w world) error {
	topic, err := w.topic("t", 1, nil)
	if err != nil {
		return err
	}
	client := w.client(kgo.DefaultProduceTopic(topic))
	defer client.Close()
	admin, group := kadm.NewClient(client), w.name("g")
	now := time.Now()
	for i, at := range []int{1000, 9000, 2000} {
		record := &kgo.Record{Topic: topic, Value: fmt.Append(nil, i), Timestamp: now.Add(time.Duration(at) * time.Millisecond)}
		if err := client.ProduceSync(w.ctx, record).FirstErr(); err != nil {
			return err
		}
	}
	after, err := admin.ListOffsetsAfterMilli(w.ctx, now.UnixMilli()+1500, topic)
	if err != nil {
		return err
	}
	newest, err := admin.ListMaxTimestampOffsets(w.ctx, topic)
	if err != nil {
		return err
	}
	if err := first(expect(after[topic][0].Offset, int64(1), "by time"), expect(newest[topic][0].Offset, int64(1), "greatest time")); err != nil {
		return err
	}
	offsets := kadm.Offsets{}
	offsets.AddOffset(topic, 0, 2, -1)
	committed, err := admin.CommitOffsets(w.ctx, group, offsets)
	if err := first(err, committed.Error()); err != nil {
		return err
	}
	lag, err := admin.Lag(w.ctx, group)
	if err := first(err, lag.Error()); err != nil {
		return err
	}
	described := lag[group]
	if err := first(expect(described.State, "Empty", "state"), expect(described.Lag.Total(), int64(1), "lag")); err != nil {
		return err
	}
	listed, err := admin.ListGroups(w.ctx, "Empty")
	if err != nil {
		return err
	}
	if _, there := listed[group]; !there {
		return fmt.Errorf("%s is not listed", group)
	}
	set := kadm.TopicsSet{}
	set.Add(topic, 0)
	forgotten, err := admin.DeleteOffsets(w.ctx, group, set)
	if err := first(err, forgotten.Error()); err != nil {
		return err
	}
	fetched, err := admin.FetchOffsets(w.ctx, group)
	if err := first(err, expect(len(fetched), 0, "offsets left")); err != nil {
		return err
	}
	if _, err := admin.CommitOffsets(w.ctx, group, offsets); err != nil {
		return err
	}
	if _, err := admin.DeleteGroup(w.ctx, group); err != nil {
		return err
	}
	_, missing := admin.DeleteGroup(w.ctx, group)
	if err := refused(missing, kerr.GroupIDNotFound, "a group that is not there"); err != nil {
		return err
	}
	deleted, err := admin.DeleteRecords(w.ctx, offsets)
	if err := first(err, deleted.Error()); err != nil {
		return err
	}
	starts, err := admin.ListStartOffsets(w.ctx, topic)
	return first(err, expect(starts[topic][0].Offset, int64(2), "start after deleting records"))
}

func cluster(w world) error {
	client := w.client(kgo.TransactionalID(w.name("tx")))
	defer client.Close()
	admin := kadm.NewClient(client)
	topic, err := w.topic("t", 1, nil)
	if err != nil {
		return err
	}
	meta, err := admin.BrokerMetadata(w.ctx)
	if err := first(err, expect(len(meta.Brokers), 1, "brokers"), expect(meta.Controller, meta.Brokers[0].NodeID, "controller")); err != nil {
		return err
	}
	if err := client.BeginTransaction(); err != nil {
		return err
	}
	if err := w.send(client, topic, "x"); err != nil {
		return err
	}
	set := kadm.TopicsSet{}
	set.Add(topic, 0)
	producers, err := admin.DescribeProducers(w.ctx, set)
	if err != nil {
		return err
	}
	found, err := admin.DescribeTransactions(w.ctx, w.name("tx"))
	if err := first(err, expect(found[w.name("tx")].State, "Ongoing", "state"), expect(len(producers.SortedProducers()), 1, "producers")); err != nil {
		return err
	}
	listed, err := admin.ListTransactions(w.ctx, nil, []string{"Ongoing"})
	if err != nil {
		return err
	}
	if _, there := listed[w.name("tx")]; !there {
		return fmt.Errorf("the transaction is not listed")
	}
	if err := client.EndTransaction(w.ctx, kgo.TryAbort); err != nil {
		return err
	}
	dirs, err := admin.DescribeAllLogDirs(w.ctx, set)
	if err != nil {
		return err
	}
	for _, broker := range dirs {
		if err := broker.Error(); err != nil {
			return err
		}
	}
	return nil
}
