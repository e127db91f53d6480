package clients

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
)

func saramaConfig(version sarama.KafkaVersion) *sarama.Config {
	config := sarama.NewConfig()
	config.Version = version
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Producer.Return.Successes = true
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.MaxWaitTime = 250 * time.Millisecond
	config.Metadata.Retry.Max = 10
	return config
}

func newTopic(t *testing.T, broker string, partitions int32) string {
	t.Helper()
	admin := must(sarama.NewClusterAdmin([]string{broker}, saramaConfig(sarama.V2_8_0_0)))(t)
	defer admin.Close()
	topic := unique("topic")
	if err := admin.CreateTopic(topic, &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: 1}, false); err != nil {
		t.Fatal(err)
	}
	waitUntil(t, "the topic is described", func() bool {
		described, err := admin.DescribeTopics([]string{topic})
		return err == nil && len(described) == 1 && int32(len(described[0].Partitions)) == partitions
	})
	return topic
}

func readPartition(t *testing.T, broker, topic string, partition int32, count int) []*sarama.ConsumerMessage {
	t.Helper()
	consumer := must(sarama.NewConsumer([]string{broker}, saramaConfig(sarama.V2_8_0_0)))(t)
	defer consumer.Close()
	reader := must(consumer.ConsumePartition(topic, partition, sarama.OffsetOldest))(t)
	defer reader.Close()
	var got []*sarama.ConsumerMessage
	deadline := time.After(30 * time.Second)
	for len(got) < count {
		select {
		case message := <-reader.Messages():
			got = append(got, message)
		case <-deadline:
			t.Fatalf("%d of %d records within 30 s", len(got), count)
		}
	}
	return got
}

func TestSaramaProduceAndConsume(t *testing.T) {
	broker := address(t, "TRUNKLINE_KAFKA")
	codecs := map[string]sarama.CompressionCodec{
		"none": sarama.CompressionNone, "gzip": sarama.CompressionGZIP, "snappy": sarama.CompressionSnappy,
		"lz4": sarama.CompressionLZ4, "zstd": sarama.CompressionZSTD,
	}
	for name, codec := range codecs {
		t.Run(name, func(t *testing.T) {
			topic := newTopic(t, broker, 1)
			config := saramaConfig(sarama.V2_8_0_0)
			config.Producer.Compression = codec
			producer := must(sarama.NewSyncProducer([]string{broker}, config))(t)
			defer producer.Close()
			var batch []*sarama.ProducerMessage
			for i := range 100 {
				batch = append(batch, &sarama.ProducerMessage{
					Topic: topic, Key: sarama.StringEncoder("k"), Value: sarama.StringEncoder(fmt.Sprint(i)),
					Headers: []sarama.RecordHeader{{Key: []byte("h"), Value: []byte{byte(i)}}},
				})
			}
			if err := producer.SendMessages(batch); err != nil {
				t.Fatal(err)
			}
			for i, message := range readPartition(t, broker, topic, 0, 100) {
				equal(t, string(message.Value), fmt.Sprint(i))
				equal(t, message.Offset, int64(i))
				equal(t, string(message.Key), "k")
				equal(t, message.Headers[0].Value[0], byte(i))
			}
		})
	}
}

func TestSaramaEveryProtocolAge(t *testing.T) {
	broker := address(t, "TRUNKLINE_KAFKA")
	for _, version := range []sarama.KafkaVersion{sarama.V2_1_0_0, sarama.V2_4_0_0, sarama.V3_6_0_0, sarama.V4_0_0_0} {
		t.Run(version.String(), func(t *testing.T) {
			topic := newTopic(t, broker, 1)
			producer := must(sarama.NewSyncProducer([]string{broker}, saramaConfig(version)))(t)
			defer producer.Close()
			_, offset, err := producer.SendMessage(&sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder("v")})
			equal(t, err, nil)
			equal(t, offset, 0)
			equal(t, string(readPartition(t, broker, topic, 0, 1)[0].Value), "v")
		})
	}
}

func TestSaramaIdempotentProducer(t *testing.T) {
	broker := address(t, "TRUNKLINE_KAFKA")
	topic := newTopic(t, broker, 1)
	config := saramaConfig(sarama.V2_8_0_0)
	config.Producer.Idempotent = true
	config.Net.MaxOpenRequests = 1
	producer := must(sarama.NewSyncProducer([]string{broker}, config))(t)
	defer producer.Close()
	for i := range 50 {
		_, offset, err := producer.SendMessage(&sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder("v")})
		equal(t, err, nil)
		equal(t, offset, int64(i))
	}
}

type groupMember struct {
	mutex  sync.Mutex
	claims map[int32]bool
	values map[string]int
}

func (g *groupMember) Setup(session sarama.ConsumerGroupSession) error {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	g.claims = map[int32]bool{}
	for _, partitions := range session.Claims() {
		for _, partition := range partitions {
			g.claims[partition] = true
		}
	}
	return nil
}
func (g *groupMember) Cleanup(sarama.ConsumerGroupSession) error { return nil }
func (g *groupMember) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		select {
		case message, ok := <-claim.Messages():
			if !ok {
				return nil
			}
			g.mutex.Lock()
			g.values[string(message.Value)]++
			g.mutex.Unlock()
			session.MarkMessage(message, "")
		case <-session.Context().Done():
			return nil
		}
	}
}
func (g *groupMember) share() (claims, values int) {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	return len(g.claims), len(g.values)
}

func TestSaramaConsumerGroup(t *testing.T) {
	broker := address(t, "TRUNKLINE_KAFKA")
	topic, group := newTopic(t, broker, 4), unique("group")
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	var members []*groupMember
	for range 2 {
		config := saramaConfig(sarama.V2_8_0_0)
		config.Consumer.Group.Heartbeat.Interval = 300 * time.Millisecond
		config.Consumer.Offsets.AutoCommit.Interval = 100 * time.Millisecond
		client := must(sarama.NewConsumerGroup([]string{broker}, group, config))(t)
		member := &groupMember{values: map[string]int{}}
		members = append(members, member)
		running.Add(1)
		go func() {
			defer running.Done()
			defer client.Close()
			for ctx.Err() == nil {
				if err := client.Consume(ctx, []string{topic}, member); err != nil && ctx.Err() == nil {
					t.Error(err)
					return
				}
			}
		}()
	}
	defer running.Wait()
	defer cancel()
	waitUntil(t, "two partitions each", func() bool {
		a, _ := members[0].share()
		b, _ := members[1].share()
		return a == 2 && b == 2
	})
	config := saramaConfig(sarama.V2_8_0_0)
	config.Producer.Partitioner = sarama.NewRoundRobinPartitioner
	producer := must(sarama.NewSyncProducer([]string{broker}, config))(t)
	defer producer.Close()
	for i := range 80 {
		_, _, err := producer.SendMessage(&sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder(fmt.Sprint(i))})
		equal(t, err, nil)
	}
	waitUntil(t, "every record, by both members", func() bool {
		_, a := members[0].share()
		_, b := members[1].share()
		return a+b == 80 && a > 0 && b > 0
	})
	admin := must(sarama.NewClusterAdmin([]string{broker}, config))(t)
	defer admin.Close()
	described := must(admin.DescribeConsumerGroups([]string{group}))(t)
	equal(t, described[0].State, "Stable")
	equal(t, len(described[0].Members), 2)
	waitUntil(t, "all offsets are committed", func() bool {
		offsets, err := admin.ListConsumerGroupOffsets(group, map[string][]int32{topic: {0, 1, 2, 3}})
		total := int64(0)
		for partition := range int32(4) {
			if err == nil && offsets.GetBlock(topic, partition) != nil {
				total += offsets.GetBlock(topic, partition).Offset
			}
		}
		return total == 80
	})
}

func TestSaramaAdmin(t *testing.T) {
	broker := address(t, "TRUNKLINE_KAFKA")
	topic := newTopic(t, broker, 2)
	admin := must(sarama.NewClusterAdmin([]string{broker}, saramaConfig(sarama.V2_8_0_0)))(t)
	defer admin.Close()
	topics := must(admin.ListTopics())(t)
	equal(t, topics[topic].NumPartitions, 2)
	equal(t, admin.CreatePartitions(topic, 3, nil, false), nil)
	waitUntil(t, "three partitions", func() bool {
		described, err := admin.DescribeTopics([]string{topic})
		return err == nil && len(described[0].Partitions) == 3
	})
	entries := must(admin.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: topic}))(t)
	if len(entries) == 0 {
		t.Fatal("no configuration")
	}
	equal(t, admin.DeleteTopic(topic), nil)
	waitUntil(t, "the topic is gone", func() bool {
		topics, err := admin.ListTopics()
		_, there := topics[topic]
		return err == nil && !there
	})
}

func TestSaramaOffsets(t *testing.T) {
	broker := address(t, "TRUNKLINE_KAFKA")
	topic := newTopic(t, broker, 1)
	config := saramaConfig(sarama.V2_8_0_0)
	producer := must(sarama.NewSyncProducer([]string{broker}, config))(t)
	defer producer.Close()
	base := time.UnixMilli(1_700_000_000_000)
	for i := range 4 {
		_, _, err := producer.SendMessage(&sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder("v"), Timestamp: base.Add(time.Duration(i) * time.Second)})
		equal(t, err, nil)
	}
	client := must(sarama.NewClient([]string{broker}, config))(t)
	defer client.Close()
	equal(t, must(client.GetOffset(topic, 0, sarama.OffsetOldest))(t), 0)
	equal(t, must(client.GetOffset(topic, 0, sarama.OffsetNewest))(t), 4)
	equal(t, must(client.GetOffset(topic, 0, base.UnixMilli()+1500))(t), 2)
}
