package plugins

import (
	"net/http"

	pkgHTTP "github.com/apache/apisix-go-plugin-runner/pkg/http"
	"github.com/apache/apisix-go-plugin-runner/pkg/log"
	"github.com/apache/apisix-go-plugin-runner/pkg/plugin"
)

func init() { register(&Stop{}) }

// Stop answers the client instead of the upstream.
type Stop struct{ plugin.DefaultPlugin }

type StopConf struct {
	Status  int               `json:"status"`
	Headers map[string]string `json:"headers"`
	// AddHeaders come after Headers and do not replace one of their name.
	AddHeaders [][2]string `json:"add_headers"`
	Body       string      `json:"body"`
}

func (p *Stop) Name() string { return "conf-stop" }

func (p *Stop) ParseConf(in []byte) (interface{}, error) { return parse[StopConf](in) }

func (p *Stop) RequestFilter(conf interface{}, w http.ResponseWriter, r pkgHTTP.Request) {
	c := conf.(StopConf)
	for name, value := range c.Headers {
		w.Header().Set(name, value)
	}
	for _, header := range c.AddHeaders {
		w.Header().Add(header[0], header[1])
	}
	if c.Status != 0 {
		w.WriteHeader(c.Status)
	}
	if _, err := w.Write([]byte(c.Body)); err != nil {
		log.Errorf("failed to write: %s", err)
	}
}
