package clients

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// TRUNKLINE_SMALL_DISK is a file system of its own, and TRUNKLINE_SMALL_AMQP names the gateway that keeps its data there.
func fill(t *testing.T) (ballast string) {
	t.Helper()
	disk := address(t, "TRUNKLINE_SMALL_DISK")
	ballast = filepath.Join(disk, "ballast")
	var space syscall.Statfs_t
	equal(t, syscall.Statfs(disk, &space), nil)
	t.Cleanup(func() { _ = os.Remove(ballast) })
	equal(t, os.WriteFile(ballast, make([]byte, int64(space.Bavail)*space.Bsize-4<<20), 0o600), nil)
	return ballast
}

func TestAMQPPublishersAreBlockedByAFullDisk(t *testing.T) {
	connection := must(amqp.Dial("amqp://guest:guest@" + address(t, "TRUNKLINE_SMALL_AMQP") + "/"))(t)
	t.Cleanup(func() { _ = connection.Close() })
	notices := connection.NotifyBlocked(make(chan amqp.Blocking, 16))
	channel := must(connection.Channel())(t)
	queue := amqpQueue(t, channel)
	equal(t, channel.Confirm(false), nil)
	ballast := fill(t)
	var pending []*amqp.DeferredConfirmation
	var notice amqp.Blocking
	waitUntil(t, "the notice", func() bool {
		pending = append(pending, must(channel.PublishWithDeferredConfirm("", queue, true, false, amqp.Publishing{
			DeliveryMode: amqp.Persistent, Body: []byte("waits"),
		}))(t))
		select {
		case notice = <-notices:
			return true
		default:
			return false
		}
	})
	equal(t, notice, amqp.Blocking{Active: true, Reason: "low on disk"})
	equal(t, os.Remove(ballast), nil)
	select {
	case notice = <-notices:
		equal(t, notice.Active, false)
	case <-time.After(20 * time.Second):
		t.Fatal("blocked for good")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for _, confirmation := range pending {
		equal(t, must(confirmation.WaitContext(ctx))(t), true)
	}
}
