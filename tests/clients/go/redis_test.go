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
