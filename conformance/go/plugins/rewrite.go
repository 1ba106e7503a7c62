package plugins

import (
	"net/http"

	pkgHTTP "github.com/apache/apisix-go-plugin-runner/pkg/http"
	"github.com/apache/apisix-go-plugin-runner/pkg/plugin"
)

func init() { register(&Rewrite{}) }

// Rewrite changes the request on its way to the upstream. A null value deletes.
type Rewrite struct{ plugin.DefaultPlugin }

type RewriteConf struct {
	Path        string             `json:"path"`
	Headers     map[string]*string `json:"headers"`
	Args        map[string]*string `json:"args"`
	RespHeaders map[string]string  `json:"resp_headers"`
}

func (p *Rewrite) Name() string { return "conf-rewrite" }

func (p *Rewrite) ParseConf(in []byte) (interface{}, error) { return parse[RewriteConf](in) }

func (p *Rewrite) RequestFilter(conf interface{}, w http.ResponseWriter, r pkgHTTP.Request) {
	c := conf.(RewriteConf)
	if c.Path != "" {
		r.SetPath([]byte(c.Path))
	}
	for name, value := range c.Headers {
		if value == nil {
			r.Header().Del(name)
		} else {
			r.Header().Set(name, *value)
		}
	}
	for name, value := range c.Args {
		if value == nil {
			r.Args().Del(name)
		} else {
			r.Args().Set(name, *value)
		}
	}
	for name, value := range c.RespHeaders {
		r.RespHeader().Set(name, value)
	}
}
