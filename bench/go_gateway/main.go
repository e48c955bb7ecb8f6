// A small gateway with the receiver's promise and nothing else: it parses distribution's envelope, writes one record for
// each manifest push and answers 202 when Kafka has acknowledged them all. It is what bench/receiver_cores.py compares
// the receiver with; it is no part of farshore.
//
//	go_gateway LISTEN KAFKA TOPIC REGISTRY TOKEN
package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

type envelope struct {
	Events []struct {
		ID        string    `json:"id"`
		Timestamp time.Time `json:"timestamp"`
		Action    string    `json:"action"`
		Target    struct {
			MediaType  string `json:"mediaType"`
			Digest     string `json:"digest"`
			Size       int64  `json:"size"`
			Repository string `json:"repository"`
			Tag        string `json:"tag"`
		} `json:"target"`
		Source struct {
			InstanceID string `json:"instanceID"`
		} `json:"source"`
	} `json:"events"`
}

type event struct {
	ID               string `json:"id"`
	Kind             string `json:"kind"`
	Registry         string `json:"registry"`
	Repository       string `json:"repository"`
	Digest           string `json:"digest,omitempty"`
	Tag              string `json:"tag,omitempty"`
	MediaType        string `json:"media_type,omitempty"`
	Size             int64  `json:"size"`
	OccurredAt       string `json:"occurred_at"`
	AcceptedAt       string `json:"accepted_at"`
	RegistryInstance string `json:"registry_instance,omitempty"`
}

const timeForm = "2006-01-02T15:04:05.000000Z"

var (
	digest     = regexp.MustCompile(`^(sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128})$`)
	tag        = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)
	repository = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)
)

type gateway struct {
	client   *kgo.Client
	topic    string
	registry string
	token    [sha256.Size]byte
}

func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	token := sha256.Sum256([]byte(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")))
	if subtle.ConstantTimeCompare(token[:], g.token[:]) != 1 {
		http.Error(w, "unknown token", http.StatusUnauthorized)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 4<<20))
	if err != nil {
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	records, err := g.records(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), 800*time.Millisecond)
	defer cancel()
	if err := g.client.ProduceSync(ctx, records...).FirstErr(); err != nil {
		w.Header().Set("Retry-After", "1")
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.WriteHeader(http.StatusAccepted)
}

func (g *gateway) records(body []byte) ([]*kgo.Record, error) {
	var posted envelope
	if err := json.Unmarshal(body, &posted); err != nil {
		return nil, err
	}
	var records []*kgo.Record
	for index, from := range posted.Events {
		target := from.Target
		if from.Action != "push" || !strings.Contains(target.MediaType, "manifest") {
			continue
		}
		if !digest.MatchString(target.Digest) || !repository.MatchString(target.Repository) ||
			(target.Tag != "" && !tag.MatchString(target.Tag)) {
			return nil, fmt.Errorf("event %d has an impossible name", index)
		}
		sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%d", g.registry, from.ID, index))
		text := hex.EncodeToString(sum[:16])
		id := text[:8] + "-" + text[8:12] + "-" + text[12:16] + "-" + text[16:20] + "-" + text[20:]
		occurred := from.Timestamp.UTC().Format(timeForm)
		value, err := json.Marshal(event{
			ID: id, Kind: "manifest.pushed", Registry: g.registry, Repository: target.Repository,
			Digest: target.Digest, Tag: target.Tag, MediaType: target.MediaType, Size: target.Size,
			OccurredAt: occurred, AcceptedAt: time.Now().UTC().Format(timeForm),
			RegistryInstance: from.Source.InstanceID,
		})
		if err != nil {
			return nil, err
		}
		var trace [24]byte
		rand.Read(trace[:])
		records = append(records, &kgo.Record{
			Topic: g.topic, Key: []byte(g.registry), Value: value,
			Headers: []kgo.RecordHeader{
				{Key: "ce_specversion", Value: []byte("1.0")},
				{Key: "ce_id", Value: []byte(id)},
				{Key: "ce_source", Value: []byte("/registries/" + g.registry)},
				{Key: "ce_type", Value: []byte("io.farshore.manifest.pushed.v1")},
				{Key: "ce_subject", Value: []byte(target.Repository)},
				{Key: "ce_time", Value: []byte(occurred)},
				{Key: "content-type", Value: []byte("application/json")},
				{Key: "traceparent", Value: fmt.Appendf(nil, "00-%x-%x-01", trace[:16], trace[16:])},
			},
		})
	}
	return records, nil
}

func main() {
	listen, kafka, topic, registry, token := os.Args[1], os.Args[2], os.Args[3], os.Args[4], os.Args[5]
	// Idempotent by default, and like the receiver: acks=all, no compression, no waiting for company.
	client, err := kgo.NewClient(
		kgo.SeedBrokers(kafka),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.ProducerLinger(0),
	)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	mux := http.NewServeMux()
	mux.Handle("POST /v1/notifications/"+registry, &gateway{client, topic, registry, sha256.Sum256([]byte(token))})
	log.Fatal(http.ListenAndServe(listen, mux))
}
