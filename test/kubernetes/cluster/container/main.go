// The program inside the test images. "pause" holds a pod's namespaces. "serve" answers HTTP and misbehaves on demand: always by its
// environment, once by a request. "crash" ends at once with status 1; "eat" takes memory until the limit ends it.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

const megabyte = 1 << 20

func main() {
	mode := "serve"
	if len(os.Args) > 1 {
		mode = os.Args[1]
	}
	switch mode {
	case "pause":
		pause()
	case "crash":
		fmt.Println("crashing as told")
		os.Exit(1)
	case "eat":
		eat(1<<40, megabyte)
	case "serve":
		serve()
	default:
		fmt.Fprintln(os.Stderr, "usage: container [serve | pause | crash | eat]")
		os.Exit(2)
	}
}

// pause waits for its end and takes leave of the processes that are left to it.
func pause() {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGCHLD)
	for received := range signals {
		if received != syscall.SIGCHLD {
			return
		}
		for {
			if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); pid <= 0 || err != nil {
				break
			}
		}
	}
}

var kept [][]byte

func eat(total, step int) {
	for taken := 0; taken < total; taken += step {
		block := make([]byte, step)
		for i := 0; i < len(block); i += 4096 {
			block[i] = 1
		}
		kept = append(kept, block)
	}
}

// Settings of "serve", in milliseconds: START_DELAY_MS before it listens, READY_AFTER_MS before /healthz says yes, NEVER_READY,
// CRASH_AFTER_MS, EAT_AFTER_MS, and LATENCY_MS before each answer. On SIGTERM it ends what it has begun, at most DRAIN_MS long.
type server struct {
	ready   atomic.Bool
	served  atomic.Int64
	started time.Time
}

func serve() {
	time.Sleep(milliseconds("START_DELAY_MS", 0))
	s := &server{started: time.Now()}
	after("READY_AFTER_MS", 0, func() { s.ready.Store(os.Getenv("NEVER_READY") == "") })
	after("CRASH_AFTER_MS", -1, func() { os.Exit(1) })
	after("EAT_AFTER_MS", -1, func() { eat(1<<40, megabyte) })
	address := ":" + or(os.Getenv("PORT"), "8080")
	http1 := &http.Server{Addr: address, Handler: s.routes()}
	drained := make(chan struct{})
	go func() {
		ended := make(chan os.Signal, 1)
		signal.Notify(ended, syscall.SIGTERM, syscall.SIGINT)
		<-ended
		fmt.Println("draining")
		ctx, cancel := context.WithTimeout(context.Background(), milliseconds("DRAIN_MS", 30_000))
		defer cancel()
		_ = http1.Shutdown(ctx)
		close(drained)
	}()
	fmt.Println("listening on", address)
	if err := http1.ListenAndServe(); err != http.ErrServerClosed {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	<-drained
}

func (s *server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, r *http.Request) {
		if !s.ready.Load() {
			http.Error(w, "not ready", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("/ready", func(w http.ResponseWriter, r *http.Request) { s.ready.Store(r.URL.Query().Get("value") != "false") })
	mux.HandleFunc("/hang", func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	mux.HandleFunc("/crash", func(w http.ResponseWriter, r *http.Request) { os.Exit(number(r, "code", 1)) })
	mux.HandleFunc("/eat", func(w http.ResponseWriter, r *http.Request) { eat(number(r, "mebibytes", 1<<20)*megabyte, megabyte) })
	mux.HandleFunc("/stream", stream)
	mux.HandleFunc("/log", func(w http.ResponseWriter, r *http.Request) { fmt.Println(r.URL.Query().Get("line")) })
	mux.HandleFunc("/status", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(number(r, "code", 200)) })
	mux.HandleFunc("/fetch", fetch)
	mux.HandleFunc("/", s.answer)
	return mux
}

// answer says who answered, and gives back what it was sent.
func (s *server) answer(w http.ResponseWriter, r *http.Request) {
	time.Sleep(milliseconds("LATENCY_MS", 0) + time.Duration(number(r, "latency", 0))*time.Millisecond)
	body, _ := io.ReadAll(r.Body)
	host, _ := os.Hostname()
	w.Header().Set("content-type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{
		"host":      host,
		"version":   os.Getenv("VERSION"),
		"method":    r.Method,
		"path":      r.URL.Path,
		"headers":   r.Header,
		"body":      string(body),
		"served":    s.served.Add(1),
		"uptime_ms": time.Since(s.started).Milliseconds(),
	})
}

// stream sends /stream?chunks=N lines, one every interval=MS.
func stream(w http.ResponseWriter, r *http.Request) {
	interval := time.Duration(number(r, "interval", 100)) * time.Millisecond
	w.Header().Set("content-type", "text/event-stream")
	for i := range number(r, "chunks", 10) {
		if i > 0 {
			time.Sleep(interval)
		}
		if _, err := fmt.Fprintf(w, "data: %d\n\n", i); err != nil {
			return
		}
		w.(http.Flusher).Flush()
	}
}

// fetch asks /fetch?url=URL from inside the pod and passes the answer on; 502 says why there is none.
func fetch(w http.ResponseWriter, r *http.Request) {
	client := http.Client{Timeout: time.Duration(number(r, "timeout", 2000)) * time.Millisecond}
	answer, err := client.Get(r.URL.Query().Get("url"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer answer.Body.Close()
	w.WriteHeader(answer.StatusCode)
	_, _ = io.Copy(w, answer.Body)
}

func after(name string, otherwise int, act func()) {
	if delay := milliseconds(name, otherwise); delay == 0 {
		act()
	} else if delay > 0 {
		time.AfterFunc(delay, act)
	}
}

func milliseconds(name string, otherwise int) time.Duration {
	value, err := strconv.Atoi(os.Getenv(name))
	if err != nil {
		value = otherwise
	}
	return time.Duration(value) * time.Millisecond
}

func number(r *http.Request, name string, otherwise int) int {
	value, err := strconv.Atoi(r.URL.Query().Get(name))
	if err != nil {
		return otherwise
	}
	return value
}

func or(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}
