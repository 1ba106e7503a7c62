package plugins

import (
	"net/http"
	"time"

	pkgHTTP "github.com/apache/apisix-go-plugin-runner/pkg/http"
	"github.com/apache/apisix-go-plugin-runner/pkg/plugin"
)

func init() { register(&Wait{}) }

// Wait holds the request up.
type Wait struct{ plugin.DefaultPlugin }

type WaitConf struct {
	Millis int `json:"ms"`
}

func (p *Wait) Name() string { return "conf-wait" }

func (p *Wait) ParseConf(in []byte) (interface{}, error) { return parse[WaitConf](in) }

func (p *Wait) RequestFilter(conf interface{}, w http.ResponseWriter, r pkgHTTP.Request) {
	time.Sleep(time.Duration(conf.(WaitConf).Millis) * time.Millisecond)
}
