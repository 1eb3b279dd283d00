// Command gotuf puts go-tuf behind the driver protocol of clients.ts.
//
//	gotuf --root FILE --metadata-url URL --targets-url URL --state DIR --out DIR [--time ISO] (refresh | download NAME...)
package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
	"github.com/theupdateframework/go-tuf/v2/metadata/config"
	"github.com/theupdateframework/go-tuf/v2/metadata/updater"
)

type line map[string]any

// say prints one result.
func say(l line) {
	_ = json.NewEncoder(os.Stdout).Encode(l)
}

// explain gives an error with its kind first: tests assert on the kind.
func explain(err error) string {
	return fmt.Sprintf("%s: %s", strings.TrimPrefix(fmt.Sprintf("%T", err), "*"), err)
}

// withToken is for a private index, as docs/private.md has it.
type withToken string

func (token withToken) RoundTrip(request *http.Request) (*http.Response, error) {
	request = request.Clone(request.Context())
	request.Header.Set("Authorization", "Bearer "+string(token))
	return http.DefaultTransport.RoundTrip(request)
}

// open makes an updater over the kept state and refreshes it.
func open(root, metadataURL, targetsURL, state, out, at string) (*updater.Updater, error) {
	// go-tuf keeps its newest trusted root in the state folder but expects the caller to hand it back.
	trusted, err := os.ReadFile(filepath.Join(state, metadata.ROOT+".json"))
	if err != nil {
		if trusted, err = os.ReadFile(root); err != nil {
			return nil, err
		}
	}
	cfg, err := config.New(metadataURL, trusted)
	if err != nil {
		return nil, err
	}
	cfg.LocalMetadataDir, cfg.LocalTargetsDir, cfg.RemoteTargetsURL = state, out, targetsURL
	if token := os.Getenv("TUF_EDGE_TOKEN"); token != "" {
		if err := cfg.SetDefaultFetcherTransport(withToken(token)); err != nil {
			return nil, err
		}
	}
	up, err := updater.New(cfg)
	if err != nil {
		return nil, err
	}
	if at != "" {
		moment, err := time.Parse(time.RFC3339, at)
		if err != nil {
			return nil, err
		}
		up.UnsafeSetRefTime(moment)
	}
	return up, up.Refresh()
}

// download fetches one target and says what came of it.
func download(up *updater.Updater, name string) bool {
	fail := func(reason string) bool {
		say(line{"ok": false, "target": name, "error": reason})
		return false
	}
	info, err := up.GetTargetInfo(name)
	if err != nil {
		if err.Error() == fmt.Sprintf("target %s not found", name) {
			return fail("not found")
		}
		return fail(explain(err))
	}
	path, data, err := up.DownloadTarget(info, "", "")
	if err != nil {
		return fail(explain(err))
	}
	digest := sha256.Sum256(data)
	say(line{"ok": true, "target": name, "path": path, "sha256": hex.EncodeToString(digest[:])})
	return true
}

func main() {
	root := flag.String("root", "", "trusted root file")
	metadataURL := flag.String("metadata-url", "", "base URL of the metadata")
	targetsURL := flag.String("targets-url", "", "base URL of the targets")
	state := flag.String("state", "", "folder of the trusted metadata")
	out := flag.String("out", "", "folder for downloads")
	at := flag.String("time", "", "pretend that it is this moment (RFC 3339)")
	flag.Parse()
	command := flag.Arg(0)
	if command != "refresh" && command != "download" {
		flag.Usage()
		os.Exit(2)
	}

	up, err := open(*root, *metadataURL, *targetsURL, *state, *out, *at)
	if err != nil {
		say(line{"ok": false, "error": explain(err)})
		os.Exit(1)
	}
	if command == "refresh" {
		trusted := up.GetTrustedMetadataSet()
		say(line{"ok": true, "version": line{
			"root":      trusted.Root.Signed.Version,
			"timestamp": trusted.Timestamp.Signed.Version,
			"snapshot":  trusted.Snapshot.Signed.Version,
			"targets":   trusted.Targets[metadata.TARGETS].Signed.Version,
		}})
		return
	}
	status := 0
	for _, name := range flag.Args()[1:] {
		if !download(up, name) {
			status = 1
		}
	}
	os.Exit(status)
}
