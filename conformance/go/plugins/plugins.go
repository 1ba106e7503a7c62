// Package plugins holds the conformance plugins, one file each. The Java
// runner beside has the same names with the same configuration.
package plugins

import (
	"encoding/json"
	"net/http"

	"github.com/apache/apisix-go-plugin-runner/pkg/log"
	"github.com/apache/apisix-go-plugin-runner/pkg/plugin"
)

func register(p plugin.Plugin) {
	if err := plugin.RegisterPlugin(p); err != nil {
		log.Fatalf("failed to register plugin %s: %s", p.Name(), err)
	}
}

// parse reads a plugin's configuration; an empty one is all defaults.
func parse[C any](in []byte) (interface{}, error) {
	var conf C
	if len(in) == 0 {
		return conf, nil
	}
	err := json.Unmarshal(in, &conf)
	return conf, err
}

// tell stops the request and answers it with value as JSON.
func tell(w http.ResponseWriter, value interface{}) {
	body, err := json.Marshal(value)
	if err != nil {
		log.Errorf("cannot encode the answer: %s", err)
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if _, err := w.Write(body); err != nil {
		log.Errorf("failed to write: %s", err)
	}
}
