package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"time"

	"golang.org/x/oauth2"
)

// Client is one of the clients that the driver registered.
type Client struct {
	ID          string `json:"client_id"`
	Secret      string `json:"client_secret"`
	RedirectURI string `json:"redirect_uri"`
}

// Settings is what the driver wrote.
type Settings struct {
	Issuer  string            `json:"issuer"`
	API     string            `json:"api"`
	Driver  string            `json:"driver"`
	Email   string            `json:"email"`
	Sub     string            `json:"sub"`
	Clients map[string]Client `json:"clients"`
}

func load() (settings Settings) {
	text := must(os.ReadFile(os.Args[1]))
	check(json.Unmarshal(text, &settings))
	return settings
}

var steps int

// failure is what check and demand panic with, for step to print.
type failure struct{ error }

// step does one thing and prints its name: the output reads as a story, and the driver wants its last line.
func step(name string, what func()) {
	defer func() {
		if reason := recover(); reason != nil {
			fmt.Println("FAILED ", name)
			if told, ok := reason.(failure); ok {
				fmt.Fprintln(os.Stderr, told.error)
				os.Exit(1)
			}
			panic(reason)
		}
	}()
	what()
	steps++
	fmt.Println("ok ", name)
}

// end is the last line: without it a program that ended early would pass.
func end() { fmt.Printf("the end, after %d steps\n", steps) }

func check(err error) {
	if err != nil {
		panic(failure{err})
	}
}

func must[T any](value T, err error) T {
	check(err)
	return value
}

func demand(holds bool, format string, arguments ...any) {
	if !holds {
		panic(failure{fmt.Errorf(format, arguments...)})
	}
}

// fails holds an error of the library to the specification's code.
func fails(err error, code string) {
	var told *oauth2.RetrieveError
	demand(errors.As(err, &told), "not the token endpoint's error %s, but %v", code, err)
	demand(told.ErrorCode == code, "not %s, but %v", code, err)
}

// ask asks the driver, over its own connection that no library sees.
func ask(driver string, question map[string]any) map[string]any {
	answer := must((&http.Client{Transport: &http.Transport{}}).Post(
		driver, "application/json", bytes.NewReader(must(json.Marshal(question)))))
	defer answer.Body.Close()
	body := must(io.ReadAll(answer.Body))
	demand(answer.StatusCode == http.StatusOK, "the driver: %s", body)
	var told map[string]any
	check(json.Unmarshal(body, &told))
	return told
}

// opens is Ann opening an authorization URL in a browser (by name, with its cookies): where she ends.
func (settings Settings) opens(url, browser, decision string) map[string]any {
	return ask(settings.Driver, map[string]any{"ask": "authorize", "url": url, "browser": browser, "decision": decision})
}

// isLedTo is the same, where she must end at the app: the parameters of the redirect.
func (settings Settings) isLedTo(address, browser, decision string) url.Values {
	end := settings.opens(address, browser, decision)
	callback, ok := end["callback"].(string)
	demand(ok, "a page instead of the app: %v", end)
	return must(url.Parse(callback)).Query()
}

// soon waits until a revocation has reached every instance (one second at most).
func soon(holds func() bool) {
	for range 50 {
		if holds() {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	demand(false, "it did not happen within five seconds")
}
