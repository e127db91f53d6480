package clients

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

func redisClient(t *testing.T, protocol int) *redis.Client {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: address(t, "TRUNKLINE_REDIS"), Protocol: protocol})
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func eachProtocol(t *testing.T, test func(t *testing.T, r *redis.Client)) {
	for _, protocol := range []int{2, 3} {
		t.Run(fmt.Sprintf("RESP%d", protocol), func(t *testing.T) { test(t, redisClient(t, protocol)) })
	}
}

func TestRedisLists(t *testing.T) {
	eachProtocol(t, func(t *testing.T, r *redis.Client) {
		ctx, key, other := context.Background(), unique("k"), unique("k")
		equal(t, must(r.RPush(ctx, key, "a", "b", "c").Result())(t), 3)
		equal(t, must(r.LPush(ctx, key, "z").Result())(t), 4)
		if got := must(r.LRange(ctx, key, 0, -1).Result())(t); !slices.Equal(got, []string{"z", "a", "b", "c"}) {
			t.Fatal(got)
		}
		equal(t, must(r.LMove(ctx, key, other, "LEFT", "RIGHT").Result())(t), "z")
		equal(t, must(r.RPopLPush(ctx, key, other).Result())(t), "c")
		equal(t, must(r.LIndex(ctx, other, 0).Result())(t), "c")
		if got := must(r.LPopCount(ctx, key, 9).Result())(t); !slices.Equal(got, []string{"a", "b"}) {
			t.Fatal(got)
		}
		equal(t, r.LPop(ctx, key).Err(), error(redis.Nil))
		equal(t, must(r.LLen(ctx, other).Result())(t), 2)
		equal(t, must(r.Del(ctx, other).Result())(t), 1)
		equal(t, must(r.Type(ctx, other).Result())(t), "none")
	})
}

func TestRedisBlockingPop(t *testing.T) {
	eachProtocol(t, func(t *testing.T, r *redis.Client) {
		ctx, key := context.Background(), unique("k")
		popped := make(chan []string, 1)
		go func() {
			got, _ := r.BLPop(ctx, 15*time.Second, unique("empty"), key).Result()
			popped <- got
		}()
		waitUntil(t, "a client blocks", func() bool {
			return !strings.Contains(r.Info(ctx, "clients").Val(), "blocked_clients:0\r\n")
		})
		equal(t, must(r.RPush(ctx, key, "v").Result())(t), 1)
		if got := <-popped; !slices.Equal(got, []string{key, "v"}) {
			t.Fatal(got)
		}
		equal(t, r.BRPop(ctx, time.Second, key).Err(), error(redis.Nil))
	})
}

func TestRedisPipelineAndTransaction(t *testing.T) {
	eachProtocol(t, func(t *testing.T, r *redis.Client) {
		ctx, key := context.Background(), unique("k")
		replies := must(r.Pipelined(ctx, func(p redis.Pipeliner) error {
			for range 500 {
				p.RPush(ctx, key, "v")
			}
			return nil
		}))(t)
		for i, reply := range replies {
			equal(t, reply.(*redis.IntCmd).Val(), int64(i+1))
		}
		replies = must(r.TxPipelined(ctx, func(p redis.Pipeliner) error {
			p.LPush(ctx, key, "first")
			p.LIndex(ctx, key, 0)
			return nil
		}))(t)
		equal(t, replies[0].(*redis.IntCmd).Val(), 501)
		equal(t, replies[1].(*redis.StringCmd).Val(), "first")
	})
}

func TestRedisPublishAndSubscribe(t *testing.T) {
	eachProtocol(t, func(t *testing.T, r *redis.Client) {
		ctx, name := context.Background(), unique("chan")
		listener := r.Subscribe(ctx, name)
		defer listener.Close()
		must(listener.Receive(ctx))(t)
		patterns := r.PSubscribe(ctx, name+"*")
		defer patterns.Close()
		must(patterns.Receive(ctx))(t)
		equal(t, must(r.Publish(ctx, name, "v").Result())(t), 2)
		for _, subscription := range []*redis.PubSub{listener, patterns} {
			select {
			case message := <-subscription.Channel():
				equal(t, message.Channel, name)
				equal(t, message.Payload, "v")
			case <-time.After(10 * time.Second):
				t.Fatal("no message")
			}
		}
	})
}

func TestRedisScan(t *testing.T) {
	r, ctx, stem := redisClient(t, 3), context.Background(), unique("s")
	for i := range 30 {
		equal(t, r.RPush(ctx, fmt.Sprintf("%s:%d", stem, i), 1).Err(), nil)
	}
	found := map[string]bool{}
	for keys := r.Scan(ctx, 0, stem+":*", 7).Iterator(); keys.Next(ctx); {
		found[keys.Val()] = true
	}
	equal(t, len(found), 30)
}

func ids(messages []redis.XMessage) string {
	var all []string
	for _, message := range messages {
		all = append(all, message.ID)
	}
	return strings.Join(all, " ")
}

func TestRedisStreamGroups(t *testing.T) {
	eachProtocol(t, func(t *testing.T, r *redis.Client) {
		ctx, key := context.Background(), unique("s")
		equal(t, must(r.XGroupCreateMkStream(ctx, key, "g", "$").Result())(t), "OK")
		for n := 1; n <= 6; n++ {
			must(r.XAdd(ctx, &redis.XAddArgs{Stream: key, ID: fmt.Sprintf("%d-0", n), Values: []any{"n", n}}).Result())(t)
		}
		read := func(who string, from string, count int64, noAck bool) string {
			args := &redis.XReadGroupArgs{Group: "g", Consumer: who, Streams: []string{key, from}, Count: count, NoAck: noAck, Block: -1}
			return ids(must(r.XReadGroup(ctx, args).Result())(t)[0].Messages)
		}
		equal(t, read("a", ">", 2, false), "1-0 2-0")
		equal(t, read("b", ">", 1, false), "3-0")
		equal(t, read("b", ">", 1, true), "4-0")
		equal(t, must(r.XPending(ctx, key, "g").Result())(t).Count, 3)
		equal(t, must(r.XDel(ctx, key, "2-0", "5-0").Result())(t), 2)
		equal(t, read("b", ">", 9, false), "6-0")
		claim := &redis.XClaimArgs{Stream: key, Group: "g", Consumer: "c", Messages: []string{"1-0"}}
		equal(t, ids(must(r.XClaim(ctx, claim).Result())(t)), "1-0")
		equal(t, read("c", "0", 9, false), "1-0")
		tooYoung := &redis.XAutoClaimArgs{Stream: key, Group: "g", Consumer: "c", MinIdle: time.Hour, Start: "0"}
		young, _, err := r.XAutoClaim(ctx, tooYoung).Result()
		equal(t, fmt.Sprintf("%s %v", ids(young), err), " <nil>")
		claimed, next, err := r.XAutoClaim(ctx, &redis.XAutoClaimArgs{Stream: key, Group: "g", Consumer: "d", Start: "0", Count: 3}).Result()
		equal(t, fmt.Sprintf("%s, then %s %v", ids(claimed), next, err), "1-0 3-0 6-0, then 0-0 <nil>")
		pending := must(r.XPendingExt(ctx, &redis.XPendingExtArgs{Stream: key, Group: "g", Start: "-", End: "+", Count: 9}).Result())(t)
		// What was removed is pending no more once somebody looks for what to claim.
		equal(t, len(pending), 3)
		equal(t, fmt.Sprintf("%s %s %d", pending[0].ID, pending[0].Consumer, pending[0].RetryCount), "1-0 d 4")
		equal(t, must(r.XAck(ctx, key, "g", "1-0", "1-0").Result())(t), 1)
		equal(t, must(r.XGroupDelConsumer(ctx, key, "g", "d").Result())(t), 2)
		equal(t, must(r.XGroupCreateConsumer(ctx, key, "g", "d").Result())(t), 1)
		equal(t, must(r.XGroupSetID(ctx, key, "g", "0").Result())(t), "OK")
		equal(t, read("d", ">", 9, false), "1-0 3-0 4-0 6-0")
		equal(t, must(r.XTrimMaxLen(ctx, key, 2).Result())(t), 2)
		equal(t, must(r.XTrimMinID(ctx, key, "6-0").Result())(t), 1)
		equal(t, must(r.XInfoStream(ctx, key).Result())(t).EntriesAdded, 6)
		equal(t, must(r.XGroupDestroy(ctx, key, "g").Result())(t), 1)
	})
}

func TestRedisPopsOfMany(t *testing.T) {
	eachProtocol(t, func(t *testing.T, r *redis.Client) {
		ctx, empty, key := context.Background(), unique("k"), unique("k")
		must(r.RPush(ctx, key, "a", "b", "c", "b").Result())(t)
		equal(t, must(r.LPos(ctx, key, "b", redis.LPosArgs{Rank: -1}).Result())(t), 3)
		equal(t, fmt.Sprint(must(r.LPosCount(ctx, key, "b", 0, redis.LPosArgs{}).Result())(t)), "[1 3]")
		from, values, err := r.LMPop(ctx, "right", 3, empty, key).Result()
		equal(t, fmt.Sprint(from == key, values, err), "true [b c b] <nil>")
		from, values, err = r.BLMPop(ctx, time.Second, "left", 3, empty, key).Result()
		equal(t, fmt.Sprint(from == key, values, err), "true [a] <nil>")
		_, _, err = r.BLMPop(ctx, time.Second, "left", 3, empty, key).Result()
		equal(t, err, error(redis.Nil))
	})
}
