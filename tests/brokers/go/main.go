// What franz-go does with a broker: `clients BOOTSTRAP PREFIX`. Prints a line per scenario; each makes its own topics.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// patience guards against hanging; it measures nothing.
const patience = 60 * time.Second

type world struct {
	ctx       context.Context
	bootstrap string
	prefix    string
}

type scenario struct {
	name string
	run  func(world) error
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: clients BOOTSTRAP PREFIX")
		os.Exit(2)
	}
	scenarios := []scenario{
		{"records_come_back_whole_with_every_compression", compressions},
		{"an_idempotent_producer_keeps_the_order", order},
		{"a_message_over_the_topics_limit_is_refused", tooLarge},
		{"eager_members_share_partitions", func(w world) error { return sharing(w, kgo.RangeBalancer()) }},
		{"cooperative_members_share_partitions", func(w world) error { return sharing(w, kgo.CooperativeStickyBalancer()) }},
		{"a_group_goes_on_where_it_committed", goesOn},
		{"transactions_are_atomic", transactions},
		{"a_second_producer_fences_the_first", fencing},
		{"a_group_copies_exactly_once", copies},
		{"topics_and_configs_are_administered", topics},
		{"groups_and_offsets_are_administered", groups},
		{"the_cluster_is_described", cluster},
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	outcomes := make([]error, len(scenarios))
	slots := make(chan struct{}, 4)
	var running sync.WaitGroup
	for i, s := range scenarios {
		running.Add(1)
		go func() {
			defer running.Done()
			slots <- struct{}{}
			defer func() { <-slots }()
			prefix := os.Args[2] + "-" + strings.ReplaceAll(s.name, "_", "-")
			outcomes[i] = s.run(world{ctx, os.Args[1], prefix})
		}()
	}
	running.Wait()
	failed := 0
	for i, s := range scenarios {
		if outcomes[i] != nil {
			failed = 1
			fmt.Printf("FAILED %s: %s\n", s.name, strings.Join(strings.Fields(outcomes[i].Error()), " "))
		} else {
			fmt.Println("ok", s.name)
		}
	}
	os.Exit(failed)
}

func expect(actual, expected any, what string) error {
	if !reflect.DeepEqual(actual, expected) {
		return fmt.Errorf("%s: %v, expected %v", what, actual, expected)
	}
	return nil
}

// refused tells whether the error is this one of Kafka's.
func refused(err error, code error, what string) error {
	if !errors.Is(err, code) {
		return fmt.Errorf("%s: %v, expected %v", what, err, code)
	}
	return nil
}

func (w world) name(what string) string { return w.prefix + "." + what }

func (w world) client(options ...kgo.Opt) *kgo.Client {
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(w.bootstrap), kgo.FetchMaxWait(200 * time.Millisecond)}, options...)...)
	if err != nil {
		panic(err)
	}
	return client
}

// topic creates one and waits until it can be used.
func (w world) topic(what string, partitions int32, configs map[string]*string) (string, error) {
	client := w.client()
	defer client.Close()
	admin, name := kadm.NewClient(client), w.name(what)
	if _, err := admin.CreateTopic(w.ctx, partitions, 1, configs, name); err != nil {
		return "", err
	}
	return name, w.await("leaders of "+name, func() (bool, error) {
		ends, err := admin.ListEndOffsets(w.ctx, name)
		return err == nil && ends.Error() == nil && len(ends[name]) == int(partitions), nil
	})
}

func (w world) await(what string, condition func() (bool, error)) error {
	for {
		if done, err := condition(); err != nil || done {
			return err
		}
		select {
		case <-w.ctx.Done():
			return fmt.Errorf("%s: not in time", what)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// send produces to partition 0 and waits for it.
func (w world) send(client *kgo.Client, topic string, values ...string) error {
	var records []*kgo.Record
	for _, value := range values {
		records = append(records, &kgo.Record{Topic: topic, Value: []byte(value), Key: []byte("key")})
	}
	return client.ProduceSync(w.ctx, records...).FirstErr()
}

// read returns all records to the end that this isolation sees.
func (w world) read(topic string, level kgo.IsolationLevel) ([]*kgo.Record, error) {
	offsets := map[string]map[int32]kgo.Offset{topic: {}}
	client := w.client()
	defer client.Close()
	admin := kadm.NewClient(client)
	list := admin.ListEndOffsets
	if level == kgo.ReadCommitted() {
		list = admin.ListCommittedOffsets
	}
	ends, err := list(w.ctx, topic)
	if err != nil {
		return nil, err
	}
	for partition := range ends[topic] {
		offsets[topic][partition] = kgo.NewOffset().AtStart()
	}
	reader := w.client(kgo.ConsumePartitions(offsets), kgo.FetchIsolationLevel(level), kgo.KeepControlRecords())
	defer reader.Close()
	var records []*kgo.Record
	at := map[int32]int64{}
	for {
		left := false
		for partition, end := range ends[topic] {
			left = left || at[partition] < end.Offset
		}
		if !left {
			return records, nil
		}
		fetches := reader.PollFetches(w.ctx)
		if err := fetches.Err(); err != nil {
			return nil, err
		}
		fetches.EachRecord(func(record *kgo.Record) {
			at[record.Partition] = record.Offset + 1
			if !record.Attrs.IsControl() {
				records = append(records, record)
			}
		})
		// What is aborted is not shown, so the end may be one that no record tells.
		fetches.EachPartition(func(p kgo.FetchTopicPartition) {
			if len(p.Records) == 0 && p.LastStableOffset >= ends[topic][p.Partition].Offset {
				at[p.Partition] = p.LastStableOffset
			}
		})
	}
}

func (w world) values(topic string, level kgo.IsolationLevel) ([]string, error) {
	records, err := w.read(topic, level)
	values := []string{}
	for _, record := range records {
		values = append(values, string(record.Value))
	}
	return values, err
}

func text(value string) *string { return &value }

func tooLarge(w world) error {
	topic, err := w.topic("t", 1, map[string]*string{"max.message.bytes": text("1000")})
	if err != nil {
		return err
	}
	client := w.client(kgo.ProducerBatchCompression(kgo.NoCompression()))
	defer client.Close()
	if err := refused(w.send(client, topic, strings.Repeat("x", 5000)), kerr.MessageTooLarge, "large"); err != nil {
		return err
	}
	return w.send(client, topic, "small")
}
