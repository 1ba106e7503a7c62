package plugins

import (
	"net/http"
	"strconv"
	"time"

	pkgHTTP "github.com/apache/apisix-go-plugin-runner/pkg/http"
	"github.com/apache/apisix-go-plugin-runner/pkg/plugin"
)

func init() {
	for _, mark := range []string{"a", "b", "c"} {
		register(&Order{mark: mark})
	}
	register(&Append{})
}

var started = time.Now()

// Order notes when it ran, and that it was the last to run.
type Order struct {
	plugin.DefaultPlugin
	mark string
}

type OrderConf struct{}

func (p *Order) Name() string { return "conf-order-" + p.mark }

func (p *Order) ParseConf(in []byte) (interface{}, error) { return parse[OrderConf](in) }

func (p *Order) RequestFilter(conf interface{}, w http.ResponseWriter, r pkgHTTP.Request) {
	r.Header().Set("X-Ran-"+p.mark, strconv.FormatInt(int64(time.Since(started)), 10))
	r.Header().Set("X-Last", p.mark)
}

// Append adds its mark to what the plugins before it left in a header.
type Append struct{ plugin.DefaultPlugin }

type AppendConf struct {
	Mark string `json:"mark"`
}

func (p *Append) Name() string { return "conf-append" }

func (p *Append) ParseConf(in []byte) (interface{}, error) { return parse[AppendConf](in) }

func (p *Append) RequestFilter(conf interface{}, w http.ResponseWriter, r pkgHTTP.Request) {
	r.Header().Set("X-Marks", r.Header().Get("X-Marks")+conf.(AppendConf).Mark)
}
