// Package clients drives a running gateway with Go's clients: Sarama, amqp091-go and go-redis.
//
// The servers are named by TRUNKLINE_KAFKA, TRUNKLINE_AMQP and TRUNKLINE_REDIS; a test whose server is not named is skipped.
package clients

import (
	"crypto/rand"
	"encoding/hex"
	"os"
	"testing"
	"time"
)

func address(t *testing.T, variable string) string {
	t.Helper()
	value := os.Getenv(variable)
	if value == "" {
		t.Skipf("%s names no server", variable)
	}
	return value
}

func unique(stem string) string {
	random := make([]byte, 6)
	_, _ = rand.Read(random)
	return stem + "-" + hex.EncodeToString(random)
}

// waitUntil polls a condition and fails the test when it does not come true in time.
func waitUntil(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !condition(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}

func must[T any](value T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func equal[T comparable](t *testing.T, got, want T) {
	t.Helper()
	if got != want {
		t.Fatalf("got %v, want %v", got, want)
	}
}
